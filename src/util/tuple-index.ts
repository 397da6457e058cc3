/** In place of a column where rows have none for it: reads as this number, for all rows alike. */
export const NO_COLUMN = -1;

/**
 * Numbers the combinations of numbers in some columns of rows, in the order in which they come:
 * a map with tuples for keys, without an object or a string for any of them. It has a fixed size.
 */
export class TupleIndex {
  readonly #width: number;
  readonly #capacity: number;
  readonly #keys: Float64Array;
  /** Open addressing; at most half of it is used. */
  readonly #slots: Int32Array;
  /** A slot of another round is free, so that clearing costs nothing. */
  readonly #rounds: Int32Array;
  #round = 1;
  #size = 0;
  #last = 0;

  /** `capacity`: a power of two. */
  constructor(width: number, capacity: number) {
    this.#width = width;
    this.#capacity = capacity;
    this.#keys = new Float64Array(width * capacity);
    this.#slots = new Int32Array(2 * capacity);
    this.#rounds = new Int32Array(2 * capacity);
  }

  get size(): number {
    return this.#size;
  }

  clear(): void {
    this.#size = 0;
    this.#last = 0;
    this.#round = (this.#round + 1) | 0;
    if (this.#round !== 0) return;
    this.#rounds.fill(0);
    this.#round = 1;
  }

  /** That of the tuple in `columns` of the row; a new one is `size` as it was. -1: it is full. */
  indexOf(rows: Float64Array, row: number, columns: Int32Array): number {
    // Neighbours in a ring are mostly alike.
    const last = this.#last;
    if (last < this.#size && this.#isAt(last, rows, row, columns)) return last;
    const index = this.#find(rows, row, columns);
    if (index >= 0) this.#last = index;
    return index;
  }

  /** Number at a place of a tuple. */
  valueAt(index: number, place: number): number {
    return this.#keys[index * this.#width + place] as number;
  }

  #find(rows: Float64Array, row: number, columns: Int32Array): number {
    const mask = this.#slots.length - 1;
    let slot = hash(rows, row, columns) & mask;
    while (this.#rounds[slot] === this.#round) {
      const index = this.#slots[slot] as number;
      if (this.#isAt(index, rows, row, columns)) return index;
      slot = (slot + 1) & mask;
    }
    return this.#size < this.#capacity ? this.#add(slot, rows, row, columns) : -1;
  }

  #add(slot: number, rows: Float64Array, row: number, columns: Int32Array): number {
    const index = this.#size++;
    for (let place = 0; place < this.#width; place++) {
      this.#keys[index * this.#width + place] = numberAt(rows, row, columns[place] as number);
    }
    this.#slots[slot] = index;
    this.#rounds[slot] = this.#round;
    return index;
  }

  #isAt(index: number, rows: Float64Array, row: number, columns: Int32Array): boolean {
    const width = this.#width;
    const keys = this.#keys;
    for (let place = 0, at = index * width; place < width; place++, at++) {
      if (keys[at] !== numberAt(rows, row, columns[place] as number)) return false;
    }
    return true;
  }
}

function numberAt(rows: Float64Array, row: number, column: number): number {
  return column === NO_COLUMN ? NO_COLUMN : (rows[row + column] as number);
}

/** Of the low 32 bits of each number, by Knuth's multiplicative method; the high half is mixed best. */
function hash(rows: Float64Array, row: number, columns: Int32Array): number {
  let mixed = 0;
  for (let place = 0; place < columns.length; place++) {
    const value = numberAt(rows, row, columns[place] as number) | 0;
    mixed = Math.imul(mixed ^ value, 0x9e37_79b1);
    mixed ^= mixed >>> 15;
  }
  return mixed;
}
