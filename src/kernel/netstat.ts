import { readFileSync } from "node:fs";

/** The kernel's own counts of challenge ACKs (net/ipv4/proc.c, LINUX_MIB_*). */
export const CHALLENGE_MIBS = [
  "TCPChallengeACK",
  "TCPSYNChallenge",
  "TCPACKSkippedChallenge",
] as const;

export type ChallengeMib = (typeof CHALLENGE_MIBS)[number];

/**
 * Reads the counters of the daemon's own network namespace. A counter that this kernel does not
 * have is absent.
 */
export function readChallengeMibs(path = "/proc/self/net/netstat"): Map<ChallengeMib, number> {
  return parseNetstat(readFileSync(path, "utf8"));
}

/** Pairs of lines, "TcpExt: name ..." over "TcpExt: value ...". */
export function parseNetstat(text: string): Map<ChallengeMib, number> {
  const lines = text.split("\n").filter((line) => line.startsWith("TcpExt:"));
  const names = lines[0]?.split(" ") ?? [];
  const values = lines[1]?.split(" ") ?? [];
  const found = new Map<ChallengeMib, number>();
  for (const name of CHALLENGE_MIBS) {
    const value = values[names.indexOf(name)];
    if (value !== undefined && /^\d+$/.test(value)) found.set(name, Number(value));
  }
  return found;
}
