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

function read(name: string): number {
  return Number(readFileSync(`/proc/sys/net/ipv4/${name}`, "utf8"));
}
