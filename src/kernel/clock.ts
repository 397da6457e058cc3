import { clockNs, Posix } from "libbpf-ts";
import { NS_PER_MS } from "../util/units.ts";

const NS_PER_SECOND = 1_000_000_000n;

/**
 * The offset is read anew for every batch, and no two readings are alike to the nanosecond: below
 * this it stays, so that events keep their order. NTP slews by 500 us a second at most (adjtimex(2)).
 */
const SAME_NS = 100_000n;

/** More than slewing makes between two readings: somebody has set the clock. */
const STEP_NS = NS_PER_SECOND;

/** Nanoseconds from CLOCK_BOOTTIME to CLOCK_REALTIME. */
export type ReadOffset = () => bigint;

/**
 * Time in the daemon: durations and order are those of CLOCK_BOOTTIME, in which the kernel stamps
 * events, which nobody sets, and which goes on while the machine is suspended. The wall clock is for
 * readers only.
 */
export class WallClock {
  readonly #readOffset: ReadOffset;
  #offsetNs: bigint;
  #onStep: (byMs: number) => void = () => {};

  constructor(readOffset: ReadOffset = offsetNow) {
    this.#readOffset = readOffset;
    this.#offsetNs = readOffset();
  }

  /** What to add to an event's time stamp, ns, as the wall clock is set now. */
  readOffsetNs(): bigint {
    const offsetNs = this.#readOffset();
    const by = offsetNs - this.#offsetNs;
    if (abs(by) < SAME_NS) return this.#offsetNs;
    this.#offsetNs = offsetNs;
    if (abs(by) >= STEP_NS) this.#onStep(Number(by) / NS_PER_MS);
    return offsetNs;
  }

  /** `onStep` hears when the clock was set, and by how much, once that is noticed. */
  onStep(onStep: (byMs: number) => void): void {
    this.#onStep = onStep;
  }

  /** Since the machine booted. */
  nowMs(): number {
    return Number(clockNs(Posix.CLOCK_BOOTTIME)) / NS_PER_MS;
  }

  /** Since 1970, of a time since the machine booted. */
  wallMs(bootMs: number): number {
    return bootMs + Number(this.readOffsetNs()) / NS_PER_MS;
  }
}

/** Read between two readings of the other clock: what comes in between counts half. */
function offsetNow(): bigint {
  const before = clockNs(Posix.CLOCK_BOOTTIME);
  const wall = clockNs(Posix.CLOCK_REALTIME);
  const after = clockNs(Posix.CLOCK_BOOTTIME);
  return wall - (before + after) / 2n;
}

function abs(ns: bigint): bigint {
  return ns < 0n ? -ns : ns;
}

/** RFC 3339 in UTC with nanoseconds, from nanoseconds since 1970. */
export function formatTime(ns: bigint): string {
  const second = new Date(Number(ns / NS_PER_SECOND) * 1000).toISOString().slice(0, 19);
  return `${second}.${String(ns % NS_PER_SECOND).padStart(9, "0")}Z`;
}
