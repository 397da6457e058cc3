import { type RecordViews, recordViews } from "libbpf-ts";
import type { RingRecords } from "../attach/drain.ts";

/**
 * Copies share pieces of memory of this size: one for each would cost more than a small batch's
 * records do. A large copy has its own, so that little of a piece is left over.
 */
const CHUNK_BYTES = 256 * 1024;
const MAX_SHARED_BYTES = CHUNK_BYTES / 8;

/** The records of a batch, copied out of their ring undecoded, with room for numbers of names. */
export class RecordCopy {
  readonly views: RecordViews;
  readonly count: number;
  readonly byteLength: number;
  readonly #places: number;
  /** Where the records' offsets begin in the 32-bit view, and their names in the 16-bit one. */
  readonly #offsets: number;
  readonly #names: number;

  /** Puts them at byte `at` of the views; they and what belongs to them take `byteLength`. */
  constructor(
    { views: ring, offsets, count, start, end }: RingRecords,
    places: number,
    views: RecordViews,
    at: number,
    byteLength: number,
  ) {
    this.views = views;
    this.count = count;
    this.byteLength = byteLength;
    this.#places = places;
    this.#offsets = (at + end - start) >> 2;
    this.#names = (this.#offsets + count) << 1;
    views.u8.set(ring.u8.subarray(start, end), at);
    const { i32 } = views;
    const by = at - start;
    for (let index = 0, to = this.#offsets; index < count; index++, to++)
      i32[to] = (offsets[index] as number) + by;
  }

  /** Byte in the views at which a record begins. */
  offsetOf(index: number): number {
    if (index < 0 || index >= this.count)
      throw new RangeError(`record ${index} of a batch of ${this.count}`);
    return this.views.i32[this.#offsets + index] as number;
  }

  /** The number of a name, `place` among those of the record. */
  nameOf(index: number, place: number): number {
    return this.views.u16[this.#names + index * this.#places + place] as number;
  }

  setName(index: number, place: number, name: number): void {
    this.views.u16[this.#names + index * this.#places + place] = name;
  }
}

/** Memory for copies. What is used up is freed with the last copy in it. */
export class CopySpace {
  #views: RecordViews | undefined;
  #used = 0;

  /** `places`: numbers of names that each record has room for. */
  copy(records: RingRecords, places: number): RecordCopy {
    const { count, start, end } = records;
    const byteLength = align(end - start + 4 * count + 2 * count * places);
    if (byteLength > MAX_SHARED_BYTES) {
      const own = recordViews(memory(byteLength));
      return new RecordCopy(records, places, own, 0, byteLength);
    }
    if (this.#views === undefined || this.#used + byteLength > CHUNK_BYTES) {
      this.#views = recordViews(memory(CHUNK_BYTES));
      this.#used = 0;
    }
    const at = this.#used;
    this.#used += byteLength;
    return new RecordCopy(records, places, this.#views, at, byteLength);
  }
}

/** Not cleared first, since all that is read of it is written before. */
function memory(bytes: number): ArrayBuffer {
  return Buffer.allocUnsafeSlow(bytes).buffer as ArrayBuffer;
}

/** Of 64-bit fields in the next copy. */
function align(bytes: number): number {
  return (bytes + 7) & ~7;
}
