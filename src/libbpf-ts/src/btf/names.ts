/**
 * Finds types by the offset of their name: a chained hash in three integer arrays, as one object
 * per type would cost tens of megabytes for a kernel's 150,000.
 */
export class NameIndex {
  readonly #words: Uint32Array;
  readonly #starts: Uint32Array;
  readonly #shift: number;
  /** First type of each chain and the next type of each type, as index + 1; 0 ends a chain. */
  readonly #heads: Uint32Array;
  readonly #next: Uint32Array;

  /** @param starts index into `words` of each type, whose first word is its name's offset. */
  constructor(words: Uint32Array, starts: Uint32Array) {
    const bits = Math.max(4, 32 - Math.clz32(starts.length));
    this.#words = words;
    this.#starts = starts;
    this.#shift = 32 - bits;
    this.#heads = new Uint32Array(1 << bits);
    this.#next = new Uint32Array(starts.length);
    // From the last to the first, so that a chain is in the order of ids.
    for (let index = starts.length - 1; index >= 0; index--) {
      const slot = this.#slot(this.#nameAt(index));
      this.#next[index] = this.#heads[slot] as number;
      this.#heads[slot] = index + 1;
    }
  }

  /** Indexes of the types with the name at this offset, in the order of their ids. */
  *types(nameOffset: number): Generator<number> {
    let link = this.#heads[this.#slot(nameOffset)] as number;
    while (link !== 0) {
      const index = link - 1;
      if (this.#nameAt(index) === nameOffset) yield index;
      link = this.#next[index] as number;
    }
  }

  #nameAt(index: number): number {
    return this.#words[this.#starts[index] as number] as number;
  }

  #slot(nameOffset: number): number {
    // Knuth's multiplicative hash; the shift leaves the high bits.
    return Math.imul(nameOffset, 0x9e3779b1) >>> this.#shift;
  }
}
