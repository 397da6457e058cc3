import { BpfError } from "./errors.ts";

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

  constructor(capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1) {
      const detail = "the capacity must be a positive integer";
      throw new BpfError({
        operation: "make batch",
        object: `of ${capacity} records`,
        code: "EINVAL",
        detail,
      });
    }
    this.offsets = new Int32Array(capacity);
    this.lengths = new Int32Array(capacity);
  }

  get capacity(): number {
    return this.offsets.length;
  }
}
