import { Counter, type Registry } from "prom-client";
import type { RecordType } from "../probes/probe.ts";

/** An event object costs some 10 us: findings never take much more than this part of a second. */
const MAX_PER_SECOND = 10_000;
const WINDOW_MS = 1000;

/** Picks the records of one batch that findings may want, before any object is made of them. */
export class FindingCandidates {
  readonly #skipped: Counter;
  readonly #indexes: number[] = [];
  #windowStartMs = 0;
  #takenInWindow = 0;

  constructor(registry: Registry) {
    this.#skipped = new Counter({
      name: "tuplewatch_finding_events_skipped_total",
      help: "Events that findings did not look at, because there were too many at once.",
      registers: [registry],
    });
  }

  clear(): void {
    this.#indexes.length = 0;
  }

  /** Among `count` records of one type, of which row i is record `positions[i]` of the batch, or i. */
  note(
    { isFindingCandidate, columnCount }: RecordType,
    rows: Float64Array,
    count: number,
    positions?: Int32Array,
  ): void {
    for (let index = 0, row = 0; index < count; index++, row += columnCount) {
      if (isFindingCandidate === undefined || isFindingCandidate(rows, row))
        this.#indexes.push(positions === undefined ? index : (positions[index] as number));
    }
  }

  /** Positions in the batch, ascending, as many as one second may have. */
  take(): readonly number[] {
    if (this.#indexes.length === 0) return this.#indexes;
    const nowMs = performance.now();
    if (nowMs - this.#windowStartMs >= WINDOW_MS) {
      this.#windowStartMs = nowMs;
      this.#takenInWindow = 0;
    }
    const found = this.#indexes.sort((left, right) => left - right);
    const taken = found.slice(0, MAX_PER_SECOND - this.#takenInWindow);
    this.#takenInWindow += taken.length;
    if (taken.length < found.length) this.#skipped.inc(found.length - taken.length);
    return taken;
  }
}
