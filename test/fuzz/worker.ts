// Runs one target; a process of its own, so that one that hangs can be ended and each has its heap.
import fc from "fast-check";
import { TARGETS } from "./targets.ts";

export interface Task {
  readonly target: string;
  readonly cases: number;
  readonly seed: number;
}

/** After each batch, and at last. */
export type Progress =
  | { readonly done: number }
  | { readonly failure: string }
  | { readonly growthBytes: number; readonly limitBytes: number };

export const BATCH_CASES = 500;

/** By then code is compiled and caches are full. */
const WARM_UP = 0.4;

/** What engine and test library take in a long run; a leak of 100 bytes a case is far more. */
const GROWTH_BYTES = 4 << 20;

async function run({ target: name, cases, seed }: Task): Promise<Progress> {
  const target = TARGETS.find((known) => known.name === name);
  if (target === undefined) throw new Error(`no target is called ${name}`);
  const property = target.create();
  let warmBytes: number | undefined;
  for (let done = 0; done < cases; ) {
    const numRuns = Math.min(BATCH_CASES, cases - done);
    // fast-check takes 32-bit seeds.
    const details = await fc.check(property, { numRuns, seed: (seed + done) | 0 });
    if (details.failed) {
      const { stack } = details.errorInstance as Error;
      return { failure: `${stack}\n${await fc.asyncDefaultReportMessage(details)}` };
    }
    done += numRuns;
    if (warmBytes === undefined && done >= WARM_UP * cases) warmBytes = heapBytes();
    tell({ done });
  }
  const limitBytes = GROWTH_BYTES + (target.growthBytes ?? 0);
  return { growthBytes: heapBytes() - (warmBytes ?? 0), limitBytes };
}

/** What is still in use. */
function heapBytes(): number {
  if (globalThis.gc === undefined) throw new Error("run with --expose-gc");
  for (let round = 0; round < 3; round++) globalThis.gc();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + external + arrayBuffers;
}

function tell(progress: Progress): void {
  process.send?.(progress);
}

process.once("message", async (task: Task) => {
  tell(await run(task));
  process.disconnect();
});
