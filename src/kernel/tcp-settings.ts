import { readFileSync } from "node:fs";

/** Sysctls of a network namespace that decide whether a port in TIME_WAIT can be taken over. */
export interface TcpSettings {
  /** 0: never, 1: by any new connection, 2: over loopback only. */
  readonly twReuse: number;
  /** 0: none, so that nothing can be taken over. */
  readonly timestamps: number;
}

/** Of the network namespace that the thread is in. */
export function readTcpSettings(): TcpSettings {
  return { twReuse: read("tcp_tw_reuse"), timestamps: read("tcp_timestamps") };
}

/**
 * Whether a new connection to that address may take over a port in TIME_WAIT that is a second old:
 * tcp_twsk_unique(), net/ipv4/tcp_ipv4.c, 6.12. The kernel wants timestamps of the old connection,
 * which it had not if the peer does without; and goes by the source address, too, where it is loopback's.
 */
export function mayTakeOverTimeWait(
  { twReuse, timestamps }: TcpSettings,
  address: string,
): boolean {
  if (timestamps === 0) return false;
  return twReuse === 1 || (twReuse === 2 && isLoopback(address));
}

function isLoopback(address: string): boolean {
  return /^127\./.test(address) || address === "::1";
}

function read(name: string): number {
  return Number(readFileSync(`/proc/sys/net/ipv4/${name}`, "utf8"));
}
