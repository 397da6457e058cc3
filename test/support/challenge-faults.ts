import type { Netns } from "./netns.ts";

/** What test/faults/challenge.py prints for each connection. */
export interface Challenged {
  readonly pid: number;
  readonly server: [string, number];
  readonly client: [string, number];
  readonly rcv_nxt: number;
  readonly snd_una: number;
  /** Seconds from the connection's last data to each forged segment. */
  readonly idle: readonly (readonly [atLeast: number, atMost: number])[];
  readonly moved: Readonly<
    Record<"TCPChallengeACK" | "TCPSYNChallenge" | "TCPACKSkippedChallenge" | "PAWSEstab", number>
  >;
}

/** One connection each, and the steps of the script that make it. */
const CONNECTIONS = {
  three: "rst+syn+old_ack",
  idle: "idle:syn+rst",
  ipv6: "ipv6:rst+syn+old_ack",
  halfClosed: "half_closed:rst+syn+new_ack",
  vanished: "vanish:syn",
  outdated: "vanish:old_syn",
  closed: "close:syn",
  halfOpen: "half_open:rst",
  twenty: Array.from({ length: 20 }, () => "syn").join("+"),
  newAck: "new_ack",
  plainClose: "close:",
  plainReset: "reset:",
  socketLimited: "rst+syn+old_ack+syn",
  netnsLimited: "syn+syn+syn+syn",
} as const;

export type Name = keyof typeof CONNECTIONS;

export const NAMES = Object.keys(CONNECTIONS) as Name[];

/** Sysctls before some of the connections. The namespace's limit counts whole seconds. */
const SETTINGS: Partial<Record<Name, readonly string[]>> = {
  three: ["tcp_invalid_ratelimit=0"],
  socketLimited: ["tcp_invalid_ratelimit=10000"],
  netnsLimited: ["tcp_invalid_ratelimit=0", "tcp_challenge_ack_limit=1", "hold=1.1"],
};

/** Longer than the ten seconds after which a connection has survived, and the daemon's look. */
const HOLD = "hold=11.5";

export type Faults = Readonly<Record<Name, Challenged>>;

/** Makes all connections and their forged segments once; takes some 15 s. */
export async function provokeChallenges(netns: Netns): Promise<Faults> {
  const steps = NAMES.flatMap((name) => [...(SETTINGS[name] ?? []), CONNECTIONS[name]]);
  const made = await netns.faultWhile<Challenged[]>("challenge.py", ...steps, HOLD);
  return Object.fromEntries(NAMES.map((name, index) => [name, made[index]])) as Faults;
}
