import type { Batch, Legacy, Life } from "./life.ts";

/** Has at any moment what a next life would need, in the file that outlives this one. */
export class Continuity {
  readonly #life: Life;
  readonly #now: () => Legacy;
  /** Up to where the latest batch was read. */
  #batch: Batch = { probe: 0, end: 0n };
  /** What held before it. */
  #before: Legacy;
  #isHandling = false;

  /** `legacy`: of the last life; `now`: of this one, as it is. */
  constructor(life: Life, legacy: Legacy, now: () => Legacy) {
    this.#life = life;
    this.#before = legacy;
    this.#now = now;
  }

  beginBatch(): void {
    this.#isHandling = true;
  }

  /** Before its room is given back to the kernel. */
  endBatch(batch: Batch): void {
    this.#isHandling = false;
    const after = this.#now();
    this.#life.write(batch, this.#before, after);
    this.#batch = batch;
    this.#before = after;
  }

  /** Something has changed; within a batch its end notes that. */
  note(): void {
    if (this.#isHandling) return;
    this.#before = this.#now();
    this.#life.write(this.#batch, this.#before, this.#before);
  }
}
