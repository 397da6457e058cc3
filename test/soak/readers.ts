import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../support/until.ts";
import { SoakReader } from "./reader.ts";

/** Passing readers come at this interval, and stay for two. */
const VISIT_MS = 1500;
/** Longer than the journal reaches back at 5,000 events a second. */
const SLOW_MS = 6000;
const CATCH_UP_LIMIT_MS = 120_000;

/** One that reads all, one that reads in fits and starts, and others that come and are killed. */
export class Readers {
  readonly #url: string;
  readonly #steady: SoakReader;
  readonly #slow: SoakReader;
  readonly totals = { readers: 2, events: 0, missed: 0 };

  private constructor(url: string, steady: SoakReader, slow: SoakReader) {
    this.#url = url;
    this.#steady = steady;
    this.#slow = slow;
  }

  static async open(url: string): Promise<Readers> {
    const steady = await SoakReader.open(url, { since: 0 });
    return new Readers(url, steady, await SoakReader.open(url, { since: 0, gzip: true }));
  }

  /** Come and go until `isOver`. */
  async visit(isOver: () => boolean): Promise<void> {
    let slowUntilMs = performance.now() + SLOW_MS;
    this.#slow.pause();
    let staying: SoakReader | undefined;
    for (let visits = 0; !isOver(); visits++) {
      const coming = await this.#come(visits);
      await sleep(VISIT_MS);
      if (staying !== undefined) this.#leave(staying);
      staying = coming;
      if (performance.now() < slowUntilMs) continue;
      this.#slow.resume();
      slowUntilMs = Number.POSITIVE_INFINITY;
    }
    if (staying !== undefined) this.#leave(staying);
    this.#slow.resume();
  }

  /** Every second from somewhere in the journal, every third compressed. */
  #come(visits: number): Promise<SoakReader> {
    const since = Math.max(0, this.#steady.lastSeq - visits * 1000);
    return SoakReader.open(this.#url, {
      ...(visits % 2 === 0 && { since }),
      gzip: visits % 3 === 0,
    });
  }

  #leave(reader: SoakReader): void {
    reader.kill();
    this.totals.readers++;
    this.#check(reader, "a reader that was killed");
    this.totals.events += reader.events;
    this.totals.missed += reader.missed;
  }

  #check(reader: SoakReader, what: string): void {
    if (reader.isComplete) return;
    const { events, missed, lastSeq, fault } = reader;
    throw new Error(`${what}: ${events} events, ${missed} missed up to ${lastSeq}: ${fault}`);
  }

  /** Those that stay have all up to `lastSeq`, or know what they missed. */
  async caughtUp(lastSeq: number): Promise<void> {
    const all = { "the steady reader": this.#steady, "the slow reader": this.#slow };
    for (const [what, reader] of Object.entries(all)) {
      const hasAll = () => reader.fault !== undefined || reader.lastSeq >= lastSeq;
      await until(hasAll, `${what} at seq ${lastSeq}`, CATCH_UP_LIMIT_MS);
      this.#check(reader, what);
    }
  }

  /** What gaps told the steady reader that the kernel lost. */
  get lostInKernel(): number {
    return this.#steady.lostInKernel;
  }

  end(): void {
    for (const reader of [this.#steady, this.#slow]) {
      reader.kill();
      this.totals.events += reader.events;
      this.totals.missed += reader.missed;
    }
  }
}
