import { readSync, writeSync } from "node:fs";
import type { DrainCounts } from "../../attach/drain.ts";

/** Of one probe, over all lives of the serving process. */
export interface LifeCounts extends DrainCounts {
  /** Losses in the kernel that readers have been told of. */
  readonly toldLost: number;
  readonly toldRateLimited: number;
}

export const NOTHING: LifeCounts = {
  read: 0,
  delivered: 0,
  malformed: 0,
  toldLost: 0,
  toldRateLimited: 0,
};

export function drainCounts({ read, delivered, malformed }: LifeCounts): DrainCounts {
  return { read, delivered, malformed };
}

const COUNTS = Object.keys(NOTHING) as (keyof LifeCounts)[];

/** What one life leaves to the next. */
export interface Legacy {
  /** Of the journal; 0: this is the first life. */
  readonly nextSeq: number;
  /** In the order of the probes. */
  readonly counts: readonly LifeCounts[];
}

/** Where the last batch was read, and up to which position of its ring. */
export interface Batch {
  readonly probe: number;
  readonly end: bigint;
}

const HEAD = 2;

/**
 * What this process has read, in a file in memory that outlives it. Written once for each batch,
 * after it is handled and before its room in the ring is given back: with what held before, and
 * what holds from then on. Which of the two does, the ring's own position tells, so that a batch
 * which is read again after a sudden death gets the same numbers and is counted once.
 */
export class Life {
  readonly #fd: number;
  readonly #probes: number;
  readonly #numbers: BigUint64Array;
  /** The same, the low half of each number first. */
  readonly #halves: Uint32Array;

  constructor(fd: number, probes: number) {
    this.#fd = fd;
    this.#probes = probes;
    this.#numbers = new BigUint64Array(HEAD + 2 * this.#stateLength);
    this.#halves = new Uint32Array(this.#numbers.buffer);
  }

  /** `released`: how far each ring has been given back. */
  legacy(released: readonly bigint[]): Legacy {
    readSync(this.#fd, this.#numbers, 0, this.#numbers.byteLength, 0);
    const [probe = 0n, end = 0n] = this.#numbers;
    const isReleased = (released[Number(probe)] ?? 0n) >= end;
    return this.#stateAt(HEAD + (isReleased ? this.#stateLength : 0));
  }

  write({ probe, end }: Batch, before: Legacy, after: Legacy): void {
    this.#numbers[0] = BigInt(probe);
    this.#numbers[1] = end;
    this.#putState(HEAD, before);
    this.#putState(HEAD + this.#stateLength, after);
    writeSync(this.#fd, this.#numbers, 0, this.#numbers.byteLength, 0);
  }

  get #stateLength(): number {
    return 1 + COUNTS.length * this.#probes;
  }

  #putState(at: number, { nextSeq, counts }: Legacy): void {
    let place = at;
    this.#put(place++, nextSeq);
    for (const one of counts) {
      for (const name of COUNTS) this.#put(place++, one[name]);
    }
  }

  /** Without a bigint for each of some forty numbers in each batch. */
  #put(place: number, value: number): void {
    this.#halves[2 * place] = value;
    this.#halves[2 * place + 1] = value / 2 ** 32;
  }

  #stateAt(at: number): Legacy {
    const number = (index: number) => Number(this.#numbers[index]);
    const counts = Array.from({ length: this.#probes }, (_, probe) => {
      const first = at + 1 + COUNTS.length * probe;
      const entries = COUNTS.map((name, index) => [name, number(first + index)]);
      return Object.fromEntries(entries) as unknown as LifeCounts;
    });
    return { nextSeq: number(at), counts };
  }
}
