/** Typed arrays over the same bytes, so that a decoder reads any scalar by an index. */
export interface RecordViews {
  readonly buffer: ArrayBuffer;
  readonly u8: Uint8Array;
  readonly i8: Int8Array;
  readonly u16: Uint16Array;
  readonly i16: Int16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly u64: BigUint64Array;
  readonly i64: BigInt64Array;
  readonly f32: Float32Array;
  readonly f64: Float64Array;
}

/**
 * Views over part of a buffer: of a ring's memory, or of a copy of it.
 *
 * @param byteOffset where the views begin; a multiple of 8.
 * @param byteLength a multiple of 8; by default up to the last such multiple.
 */
export function recordViews(
  buffer: ArrayBuffer,
  byteOffset = 0,
  byteLength = (buffer.byteLength - byteOffset) & ~7,
): RecordViews {
  return {
    buffer,
    u8: new Uint8Array(buffer, byteOffset, byteLength),
    i8: new Int8Array(buffer, byteOffset, byteLength),
    u16: new Uint16Array(buffer, byteOffset, byteLength >> 1),
    i16: new Int16Array(buffer, byteOffset, byteLength >> 1),
    u32: new Uint32Array(buffer, byteOffset, byteLength >> 2),
    i32: new Int32Array(buffer, byteOffset, byteLength >> 2),
    u64: new BigUint64Array(buffer, byteOffset, byteLength >> 3),
    i64: new BigInt64Array(buffer, byteOffset, byteLength >> 3),
    f32: new Float32Array(buffer, byteOffset, byteLength >> 2),
    f64: new Float64Array(buffer, byteOffset, byteLength >> 3),
  };
}

/** The text of a char array: up to its first NUL, or all of it. */
export function readString(bytes: Uint8Array, at: number, length: number): string {
  let end = at;
  while (end < at + length && bytes[end] !== 0) end++;
  return Buffer.from(bytes.buffer, bytes.byteOffset + at, end - at).toString();
}
