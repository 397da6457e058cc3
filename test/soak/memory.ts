import { setTimeout as sleep } from "node:timers/promises";
import { median } from "../bench/statistics.ts";
import { residentMiB } from "../support/memory.ts";

const SAMPLES = 5;
const SAMPLE_MS = 200;
const COLLECT_MS = 1000;

/** Resident memory of both processes of a daemon that was started with gc-on-signal.ts. */
export class Memory {
  readonly #pids: readonly number[];
  /** One a round, in quiet: after all garbage was collected, and before. MiB. */
  readonly settled: number[] = [];
  readonly unsettled: number[] = [];
  readonly anonymous: number[] = [];

  constructor(pids: readonly number[]) {
    this.#pids = pids;
  }

  /** To be called when the daemon has nothing to do. */
  async sample(): Promise<void> {
    this.unsettled.push(residentMiB(this.#pids).total);
    for (const pid of this.#pids) process.kill(pid, "SIGUSR2");
    await sleep(COLLECT_MS);
    const seen = [];
    for (let i = 0; i < SAMPLES; i++) {
      seen.push(residentMiB(this.#pids));
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
