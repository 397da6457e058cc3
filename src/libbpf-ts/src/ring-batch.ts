import { BpfError } from "./errors.ts";

// Layout and bits: include/uapi/linux/bpf.h (BPF_RINGBUF_*) and kernel/bpf/ringbuf.c.
const HEADER_BYTES = 8;
const DISCARD_BIT = 1 << 30;
const LENGTH_MASK = DISCARD_BIT - 1;

/**
 * A load of a header must not be done before that of the producer's position. x86 never reorders
 * loads, so there the cheap plain load will do (two to three times as fast); elsewhere it is an
 * acquire load, as in libbpf's ringbuf_process_ring.
 */
const PLAIN_LOADS = process.arch === "x64";

/** Where the records of one `take()` lie; to be made once and used again. */
export class RecordBatch {
  /** Byte offset of each record's payload in the ring's views. A multiple of 8. */
  readonly offsets: Int32Array;
  /** Bytes of each record's payload. */
  readonly lengths: Int32Array;
  /** Number of records. */
  count = 0;
  /** The bytes of all records, headers included, are contiguous: from `start` up to `end`. */
  start = 0;
  end = 0;
  /** Discarded records that were skipped on the way. */
  discarded = 0;

  constructor(capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1) {
      const object = `of ${capacity} records`;
      const detail = "the capacity must be a positive integer";
      throw new BpfError({ operation: "make batch", object, code: "EINVAL", detail });
    }
    this.offsets = new Int32Array(capacity);
    this.lengths = new Int32Array(capacity);
  }

  get capacity(): number {
    return this.offsets.length;
  }

  /**
   * Fills the batch with the records that lie between two offsets, up to the first one that is
   * reserved and not submitted yet. RingBuffer calls it.
   *
   * @param headers the ring's data as 32-bit integers.
   * @returns false when it ended at an impossible header: a record that reaches beyond `end`.
   */
  walk(headers: Int32Array, start: number, end: number, maxRecords: number): boolean {
    const { offsets, lengths } = this;
    const limit = Math.min(maxRecords, offsets.length);
    let at = start;
    let count = 0;
    let discarded = 0;
    let sound = true;
    while (at < end && count < limit) {
      const header = (PLAIN_LOADS ? headers[at >> 2] : Atomics.load(headers, at >> 2)) as number;
      // bit 31, the sign, is BUSY
      if (header < 0) break;
      const length = header & LENGTH_MASK;
      const next = at + ((length + HEADER_BYTES + 7) & ~7);
      if (next > end) {
        sound = false;
        break;
      }
      if ((header & DISCARD_BIT) === 0) {
        offsets[count] = at + HEADER_BYTES;
        lengths[count] = length;
        count++;
      } else discarded++;
      at = next;
    }
    this.count = count;
    this.start = start;
    this.end = at;
    this.discarded = discarded;
    return sound;
  }
}
