import { setTimeout as sleep } from "node:timers/promises";

/** A stream opens all the same when nobody has answered by then. */
const ANSWER_LIMIT_MS = 1000;
const RETRY_MS = 1000;

/**
 * How many streams want connects that went as they should, which `--connect-events auto` makes
 * events only while somebody does.
 */
export class OrdinaryDemand {
  readonly #tell: (wanted: boolean) => Promise<void>;
  #streams = 0;
  #told: Promise<void> = Promise.resolve();

  /** `tell` passes on to the programs whether anybody wants them, and resolves when they know. */
  constructor(tell: (wanted: boolean) => Promise<void>) {
    this.#tell = tell;
  }

  get wanted(): boolean {
    return this.#streams > 0;
  }

  /** One more stream; resolves when what happens from now on will be events. */
  async add(): Promise<void> {
    if (++this.#streams === 1) this.#pass();
    await Promise.race([this.#told, sleep(ANSWER_LIMIT_MS)]);
  }

  remove(): void {
    if (--this.#streams === 0) this.#pass();
  }

  /** One after the other, and again until it is known. */
  #pass(): void {
    const again = () => void setTimeout(() => this.#pass(), RETRY_MS).unref();
    this.#told = this.#told.then(() => this.#tell(this.wanted)).catch(again);
  }
}
