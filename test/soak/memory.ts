import { setTimeout as sleep } from "node:timers/promises";
import { median } from "../bench/statistics.ts";
import { residentMiB } from "../support/memory.ts";

const SAMPLES = 5;
const SAMPLE_MS = 200;
const COLLECT_MS = 1000;

/** Resident memory of a daemon that was started with gc-on-signal.ts. */
export class Memory {
  readonly #pid: number;
  /** One a round, in quiet: after all garbage was collected, and before. MiB. */
  readonly settled: number[] = [];
  readonly unsettled: number[] = [];
  readonly anonymous: number[] = [];

  constructor(pid: number) {
    this.#pid = pid;
  }

  /** To be called when the daemon has nothing to do. */
  async sample(): Promise<void> {
    this.unsettled.push(residentMiB(this.#pid).total);
    process.kill(this.#pid, "SIGUSR2");
    await sleep(COLLECT_MS);
    const seen = [];
    for (let i = 0; i < SAMPLES; i++) {
      seen.push(residentMiB(this.#pid));
      await sleep(SAMPLE_MS);
    }
    this.settled.push(median(seen.map(({ total }) => total)));
    this.anonymous.push(median(seen.map(({ anonymous }) => anonymous)));
  }
}

/** Of the last quarter beyond the second; the first is for warming up: caches and journal fill. */
export function growth(samples: readonly number[]): number {
  const quarter = Math.max(1, Math.floor(samples.length / 4));
  const early = samples.slice(quarter, 2 * quarter);
  return median(samples.slice(-quarter)) - median(early.length > 0 ? early : samples);
}
