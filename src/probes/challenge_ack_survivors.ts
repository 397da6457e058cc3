import type { LoadedObject } from "libbpf-ts";
import type { Upkeep } from "./probe.ts";

/** An outcome is told at most this long after it is certain. */
const CHECK_MS = 1000;

/** Each run tells up to MAX_PER_RUN (bpf/challenge_outcome.h); the others follow a second later. */
const MAX_RUNS_PER_CHECK = 64;

/**
 * Has the kernel tell the outcome of connections that are still there ten seconds after their
 * first challenge: not every kernel has timers for programs (5.15), but all can run one when told.
 */
export function watchSurvivors(object: LoadedObject, onError: (error: unknown) => void): Upkeep {
  const timer = setInterval(() => {
    try {
      if (object.getGlobal("any_challenge") === true) tellSurvivors(object);
    } catch (error) {
      onError(error);
    }
  }, CHECK_MS);
  return { stop: () => clearInterval(timer) };
}

function tellSurvivors(object: LoadedObject): void {
  const survive = object.program("survive");
  for (let run = 0; run < MAX_RUNS_PER_CHECK; run++) {
    if (survive.testRun() === 0) return;
  }
}
