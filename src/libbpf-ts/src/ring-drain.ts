import type { RingBuffer } from "./ring.ts";
import { RecordBatch } from "./ring-batch.ts";
import type { RecordViews } from "./views.ts";

/** Gets records in place; they are released when it returns, or throws. */
export type RecordHandler = (batch: RecordBatch, views: RecordViews) => void;

export interface DrainOptions {
  /** Records handed out before other work of the event loop gets its turn. Default 4096. */
  readonly maxPerTurn?: number;
}

const DEFAULT_PER_TURN = 4096;

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The one drain of a ring that may run at a time. */
export class Drain {
  readonly #ring: RingBuffer;
  #batch: RecordBatch | undefined;
  #running: Promise<number> | undefined;

  constructor(ring: RingBuffer) {
    this.#ring = ring;
  }

  run(handler: RecordHandler, { maxPerTurn = DEFAULT_PER_TURN }: DrainOptions): Promise<number> {
    this.#running ??= this.#turns(handler, maxPerTurn).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #turns(handler: RecordHandler, maxPerTurn: number): Promise<number> {
    if (this.#batch?.capacity !== maxPerTurn) this.#batch = new RecordBatch(maxPerTurn);
    let total = 0;
    while (!this.#ring.closed) {
      const count = this.#turn(handler, this.#batch);
      total += count;
      if (count < maxPerTurn) break;
      await nextTurn();
    }
    return total;
  }

  #turn(handler: RecordHandler, batch: RecordBatch): number {
    const ring = this.#ring;
    try {
      const count = ring.take(batch);
      if (count > 0) handler(batch, ring.views);
      return count;
    } finally {
      ring.release();
    }
  }
}
