import type { ScalarKind } from "./btf/layout.ts";

/** A bigint for 64 bits, a boolean for `bool`, else a number. */
export type Scalar = number | bigint | boolean;

interface Codec {
  readonly read: (view: DataView, at: number) => Scalar;
  readonly write: (view: DataView, at: number, value: number | bigint) => void;
  /** The least and greatest value of an integer. */
  readonly range?: readonly [bigint, bigint];
}

const unsigned = (bits: bigint): readonly [bigint, bigint] => [0n, 2n ** bits - 1n];
const signed = (bits: bigint): readonly [bigint, bigint] => [
  -(2n ** (bits - 1n)),
  2n ** (bits - 1n) - 1n,
];

const CODECS: Readonly<Record<ScalarKind, Codec>> = {
  bool: {
    read: (view, at) => view.getUint8(at) !== 0,
    write: (view, at, value) => view.setUint8(at, Number(value)),
    range: [0n, 1n],
  },
  u8: {
    read: (view, at) => view.getUint8(at),
    write: (view, at, value) => view.setUint8(at, Number(value)),
    range: unsigned(8n),
  },
  i8: {
    read: (view, at) => view.getInt8(at),
    write: (view, at, value) => view.setInt8(at, Number(value)),
    range: signed(8n),
  },
  u16: {
    read: (view, at) => view.getUint16(at, true),
    write: (view, at, value) => view.setUint16(at, Number(value), true),
    range: unsigned(16n),
  },
  i16: {
    read: (view, at) => view.getInt16(at, true),
    write: (view, at, value) => view.setInt16(at, Number(value), true),
    range: signed(16n),
  },
  u32: {
    read: (view, at) => view.getUint32(at, true),
    write: (view, at, value) => view.setUint32(at, Number(value), true),
    range: unsigned(32n),
  },
  i32: {
    read: (view, at) => view.getInt32(at, true),
    write: (view, at, value) => view.setInt32(at, Number(value), true),
    range: signed(32n),
  },
  u64: {
    read: (view, at) => view.getBigUint64(at, true),
    write: (view, at, value) => view.setBigUint64(at, BigInt(value), true),
    range: unsigned(64n),
  },
  i64: {
    read: (view, at) => view.getBigInt64(at, true),
    write: (view, at, value) => view.setBigInt64(at, BigInt(value), true),
    range: signed(64n),
  },
  f32: {
    read: (view, at) => view.getFloat32(at, true),
    write: (view, at, value) => view.setFloat32(at, Number(value), true),
  },
  f64: {
    read: (view, at) => view.getFloat64(at, true),
    write: (view, at, value) => view.setFloat64(at, Number(value), true),
  },
};

export function readScalar(kind: ScalarKind, view: DataView, at: number): Scalar {
  return CODECS[kind].read(view, at);
}

/** Returns whether the value fits the kind; when not, nothing is written. */
export function writeScalar(kind: ScalarKind, view: DataView, at: number, value: Scalar): boolean {
  const codec = CODECS[kind];
  const number = typeof value === "boolean" ? Number(value) : value;
  if (codec.range !== undefined) {
    if (typeof number === "number" && !Number.isSafeInteger(number)) return false;
    const exact = BigInt(number);
    if (exact < codec.range[0] || exact > codec.range[1]) return false;
  }
  codec.write(view, at, number);
  return true;
}
