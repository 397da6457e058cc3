import { clockNs, Posix } from "libbpf-ts";

const NS_PER_SECOND = 1_000_000_000n;

/** Turns the kernel's time stamps (CLOCK_BOOTTIME, ns) into wall-clock time. */
export class WallClock {
  #offsetNs = 0n;

  constructor() {
    this.adjust();
  }

  /** Follows steps of the wall clock; called once in a while. */
  adjust(): void {
    this.#offsetNs = clockNs(Posix.CLOCK_REALTIME) - clockNs(Posix.CLOCK_BOOTTIME);
  }

  get offsetNs(): bigint {
    return this.#offsetNs;
  }
}

/** RFC 3339 in UTC with nanoseconds, from nanoseconds since 1970. */
export function formatTime(ns: bigint): string {
  const second = new Date(Number(ns / NS_PER_SECOND) * 1000).toISOString().slice(0, 19);
  return `${second}.${String(ns % NS_PER_SECOND).padStart(9, "0")}Z`;
}
