import type { LoadedObject } from "libbpf-ts";
import type { WhileAttached } from "./probe.ts";

/** An outcome is told at most this long after it is certain. */
const CHECK_MS = 1000;

/** Each run reports up to EXPIRY_PER_RUN (bpf/include/events.h); the others follow a second later. */
const MAX_RUNS_PER_CHECK = 64;

/**
 * Has the kernel tell the outcome of connections that are still there ten seconds after their
 * first challenge: not every kernel has timers for programs (5.15), but all can run one when told.
 */
export function pollSurvivors(
  object: LoadedObject,
  onError: (error: unknown) => void,
): WhileAttached {
  const timer = setInterval(() => {
    try {
      if (object.getGlobal("any_challenge") === true) expireSurvivors(object);
    } catch (error) {
      onError(error);
    }
  }, CHECK_MS);
  return { stop: () => clearInterval(timer) };
}

function expireSurvivors(object: LoadedObject): void {
  const expire = object.program("expire");
  for (let run = 0; run < MAX_RUNS_PER_CHECK; run++) {
    if (expire.testRun() === 0) return;
  }
}
