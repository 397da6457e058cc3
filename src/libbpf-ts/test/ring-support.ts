import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { RecordBatch, RecordViews } from "../src/index.ts";
import type { ProducerResult, ProducerTask } from "./ring-producer.ts";
import { objectPath } from "./support.ts";

const DEFAULTS: Omit<ProducerTask, "ringFd" | "records"> = {
  object: objectPath("ring"),
  program: "emit",
  producer: 0,
  burst: 2000,
  pauseMs: 0,
  discardEvery: 0,
};

/** Starts a producer thread and waits for its end. */
export async function produce(
  task: Pick<ProducerTask, "ringFd" | "records"> & Partial<ProducerTask>,
): Promise<ProducerResult> {
  const worker = new Worker(new URL("./ring-producer.js", import.meta.url), {
    workerData: { ...DEFAULTS, ...task },
  });
  // Both at once: the last message may be delivered together with the exit.
  const [[result]] = (await Promise.all([once(worker, "message"), once(worker, "exit")])) as [
    [ProducerResult],
    unknown,
  ];
  return result;
}

/** Checks struct sample of ring.bpf.c: sequence, checksum, length, per producer without a gap. */
export class SampleChecker {
  readonly next: number[] = [];
  records = 0;
  faults = 0;
  readonly #discardEvery: number;

  /** @param discardEvery as the producers have it: discarded records take a number too. */
  constructor(discardEvery = 0) {
    this.#discardEvery = discardEvery;
  }

  check(batch: RecordBatch, { u32 }: RecordViews): void {
    for (let i = 0; i < batch.count; i++) {
      const at = (batch.offsets[i] as number) >> 2;
      const sequence = u32[at] as number;
      const producer = u32[at + 6] as number;
      // the low half of the program's 64-bit product
      const product = Math.imul(sequence ^ producer, 0x7f4a7c15) >>> 0;
      const expected = this.next[producer] ?? 0;
      if (batch.lengths[i] !== 32 || u32[at + 2] !== product || sequence !== expected)
        this.faults++;
      this.next[producer] = this.#after(sequence);
    }
    this.records += batch.count;
  }

  #after(sequence: number): number {
    const next = sequence + 1;
    return (next + 1) % this.#discardEvery === 0 ? next + 1 : next;
  }
}
