import type { KernelAnswer, ProbeAnswer, StateAnswer } from "../../channel/answers.ts";
import type { BlindProbe } from "../../http/openapi/status.schema.ts";
import { shareInFlight } from "../../util/share-in-flight.ts";
import type { Asks } from "./remote-kernel.ts";

/**
 * What the privileged process tells of itself and its probes. Where it takes long, since attaching
 * programs may be seconds, the last answer stands.
 */
export class RemoteState {
  readonly #channel: Asks;
  readonly #onSilence: (error: unknown) => void;
  #latest: StateAnswer | undefined;

  /** `onSilence` hears of answers that did not come. */
  constructor(channel: Asks, onSilence: (error: unknown) => void) {
    this.#channel = channel;
    this.#onSilence = onSilence;
  }

  get latest(): StateAnswer | undefined {
    return this.#latest;
  }

  take(state: StateAnswer): void {
    this.#latest = state;
  }

  /** As it is now. One question for all who want to know at the same time. */
  readonly ask = shareInFlight(async () => {
    try {
      this.#latest = (await this.#channel.ask({ kind: "state" })) as StateAnswer;
    } catch (error) {
      if (this.#latest === undefined) throw error;
      this.#onSilence(error);
    }
    return this.#latest;
  });

  /** For scrapes: costs some system calls for each program. Nothing where there is no answer. */
  readonly askKernel = shareInFlight(async (): Promise<KernelAnswer> => {
    try {
      return (await this.#channel.ask({ kind: "kernel" })) as KernelAnswer;
    } catch (error) {
      this.#onSilence(error);
      return { programs: [], connects: [], portBinds: [], conntrack: undefined };
    }
  });
}

export function blindProbes(probes: readonly ProbeAnswer[]): BlindProbe[] {
  return probes.flatMap(({ probe, blindness }) =>
    blindness === undefined ? [] : [{ probe, ...blindness }],
  );
}
