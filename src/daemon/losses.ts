import type { Logger } from "pino";
import type { Blindness } from "../attach/blindness.ts";
import type { ProbeAnswer } from "../channel/answers.ts";
import { gapBatch } from "../journal/batch.ts";
import type { Journal } from "../journal/journal.ts";

/** Which counts are events that nobody sees, and where they went. */
const COUNTS = [
  ["lost", "kernel_ring"],
  ["rateLimited", "rate_limit"],
] as const;

export type ToldLosses = Readonly<Record<(typeof COUNTS)[number][0], number>>;

/** Tells readers and the log of what the probes do not tell. */
export class LossReport {
  readonly #journal: Journal;
  readonly #logger: Logger;
  /** Losses that readers have been told of, by probe and count. */
  readonly #told = new Map<string, number>();
  /** By probe, why it was blind at the last look. */
  readonly #blind = new Map<string, Blindness["cause"]>();

  constructor(journal: Journal, logger: Logger) {
    this.#journal = journal;
    this.#logger = logger;
  }

  /** What readers have been told of before. */
  remember(probe: string, told: ToldLosses): void {
    for (const [count] of COUNTS) this.#told.set(`${probe} ${count}`, told[count]);
  }

  /** What readers have been told of so far. */
  told(probe: string): ToldLosses {
    const told = (count: keyof ToldLosses) => this.#told.get(`${probe} ${count}`) ?? 0;
    return { lost: told("lost"), rateLimited: told("rateLimited") };
  }

  /** Called about once a second for each probe. */
  look(answer: ProbeAnswer): void {
    this.#tellLosses(answer);
    this.#tellBlindness(answer);
  }

  #tellLosses({ probe, counters: totals }: ProbeAnswer): void {
    for (const [count, where] of COUNTS) {
      const key = `${probe} ${count}`;
      const missed = totals[count] - (this.#told.get(key) ?? 0);
      if (missed === 0) continue;
      this.#told.set(key, totals[count]);
      this.#journal.append(gapBatch({ where, probe, missed }));
    }
  }

  /** What is not attached was logged when it was tried. */
  #tellBlindness({ probe, blindness }: ProbeAnswer): void {
    const cause = blindness?.cause === "not_attached" ? undefined : blindness?.cause;
    const before = this.#blind.get(probe);
    if (cause === before) return;
    if (cause === undefined || blindness === undefined) {
      this.#blind.delete(probe);
      this.#logger.info({ probe }, "the probe sees again");
      return;
    }
    this.#blind.set(probe, cause);
    this.#logger.warn({ probe, cause, reason: blindness.reason }, "the probe is blind");
    if (cause === "detached") this.#journal.append(gapBatch({ where: "detached", probe }));
  }
}
