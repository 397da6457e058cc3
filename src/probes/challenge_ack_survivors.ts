import { clockNs, type LoadedObject, Posix } from "libbpf-ts";
import type { Upkeep } from "./probe.ts";

/** SURVIVAL_NS in bpf/challenge_outcome.h, whose program has the last word. */
const SURVIVAL_NS = 10_000_000_000n;

/** An outcome is told at most this long after it is certain. */
const CHECK_MS = 1000;

/** Connections handled in one go: some 20 ms of work; the others follow a second later. */
const MAX_PER_CHECK = 4096;

const KEY_BYTES = 8;

/**
 * Has the kernel tell the outcome of connections that are still there ten seconds after their
 * first challenge: not every kernel has timers for programs (5.15), but all can run one when told.
 */
export function watchSurvivors(object: LoadedObject, onError: (error: unknown) => void): Upkeep {
  const timer = setInterval(() => {
    try {
      if (object.getGlobal("challenged_count") !== 0n) tellSurvivors(object);
    } catch (error) {
      onError(error);
    }
  }, CHECK_MS);
  return { stop: () => clearInterval(timer) };
}

function tellSurvivors(object: LoadedObject): void {
  const survive = object.program("survive");
  for (const context of survivors(object)) survive.testRun({ context });
}

/** Keys of `challenged` that are old enough. */
function survivors(object: LoadedObject): Uint8Array[] {
  const before = clockNs(Posix.CLOCK_BOOTTIME) - SURVIVAL_NS;
  const found: Uint8Array[] = [];
  for (const { count, keys, values } of object.map("challenged").batches()) {
    const bytes = values.byteLength / count;
    const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
    for (let index = 0; index < count; index++) {
      // head.time_ns, with which every event begins
      if (view.getBigUint64(index * bytes, true) > before) continue;
      found.push(keys.slice(index * KEY_BYTES, (index + 1) * KEY_BYTES));
      if (found.length === MAX_PER_CHECK) return found;
    }
  }
  return found;
}
