import type { CensusAnswer, CensusQuestion, Detector, PortCensus } from "./detector.ts";
import type { Observation } from "./finding.ts";

/** Questions that wait while one is being answered; more get no answer. */
const MAX_WAITING = 16;

interface Asked {
  readonly detector: Detector;
  readonly question: CensusQuestion;
}

/** Puts detectors' questions to the census, one at a time, and hands them the answers. */
export class CensusDesk {
  readonly #sink: { failed(operation: string, error: unknown): void };
  readonly #observe: (observations: readonly Observation[]) => void;
  readonly #waiting: Asked[] = [];
  #busy = false;
  census: PortCensus | undefined;

  constructor(
    sink: { failed(operation: string, error: unknown): void },
    observe: (observations: readonly Observation[]) => void,
  ) {
    this.#sink = sink;
    this.#observe = observe;
  }

  ask(detector: Detector, question: CensusQuestion): void {
    const asked = { detector, question };
    // One that is being answered may have been counted before what this one is about.
    const untouched = this.#busy ? this.#waiting.slice(1) : this.#waiting;
    const again = untouched.some(
      (other) => other.detector === detector && other.question.key === question.key,
    );
    if (again) return;
    if (this.census === undefined || this.#waiting.length >= MAX_WAITING) {
      this.#hand(asked, undefined);
      return;
    }
    this.#waiting.push(asked);
    void this.#work(this.census);
  }

  async #work(census: PortCensus): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    for (let asked = this.#waiting[0]; asked !== undefined; asked = this.#waiting[0]) {
      const answer = await this.#answer(census, asked.question);
      this.#waiting.shift();
      this.#hand(asked, answer);
    }
    this.#busy = false;
  }

  async #answer(census: PortCensus, question: CensusQuestion): Promise<CensusAnswer | undefined> {
    try {
      return await census.ask(question);
    } catch (error) {
      this.#sink.failed("count local ports", error);
      return undefined;
    }
  }

  #hand({ detector, question }: Asked, answer: CensusAnswer | undefined): void {
    try {
      this.#observe(detector.answer?.(question, answer) ?? []);
    } catch (error) {
      this.#sink.failed("conclude from the local ports", error);
    }
  }
}
