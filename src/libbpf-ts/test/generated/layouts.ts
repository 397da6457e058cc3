// Generated from test/bpf/layouts.bpf.c: do not edit.

import { type RecordViews, readString, type StructLayout } from "../../src/index.ts";

/** enum color. */
export const colorNames = {
  1: "red",
  2: "green",
  4: "deep_blue",
} as const;

/** enum level. */
export const levelNames = {
  4294967295: "low",
  1: "high",
} as const;

/** point, 4 bytes. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

export function decodePoint(views: RecordViews, at: number): Point {
  return {
    x: views.i16[at >> 1] as number,
    y: views.i16[(at + 2) >> 1] as number,
  };
}

export const pointLayout: StructLayout = {
  name: "point",
  size: 4,
  fields: [
    { name: "x", offset: 0, size: 2, kind: "i16" },
    { name: "y", offset: 2, size: 2, kind: "i16" },
  ],
};

/** An untagged struct, 4 bytes. */
export interface EverythingAnonymous {
  readonly inside: number;
}

export function decodeEverythingAnonymous(views: RecordViews, at: number): EverythingAnonymous {
  return {
    inside: views.u32[at >> 2] as number,
  };
}

export const everythingAnonymousLayout: StructLayout = {
  name: "",
  size: 4,
  fields: [{ name: "inside", offset: 0, size: 4, kind: "u32" }],
};

/** An untagged struct, 4 bytes. */
export interface EverythingBoth {
  readonly word: number;
  readonly byte: number;
}

export function decodeEverythingBoth(views: RecordViews, at: number): EverythingBoth {
  return {
    word: views.u32[at >> 2] as number,
    byte: views.u8[at] as number,
  };
}

export const everythingBothLayout: StructLayout = {
  name: "",
  size: 4,
  fields: [
    { name: "word", offset: 0, size: 4, kind: "u32" },
    { name: "byte", offset: 0, size: 1, kind: "u8" },
  ],
};

/** everything, 120 bytes. */
export interface Everything {
  readonly u8: number;
  readonly s8: number;
  readonly u16: number;
  readonly s16: number;
  readonly yes: boolean;
  readonly u32: number;
  readonly s32: number;
  readonly u64: bigint;
  readonly s64: bigint;
  readonly text: string;
  readonly full: string;
  readonly raw: Uint8Array;
  readonly numbers: Uint16Array;
  readonly point: Point;
  readonly points: readonly Point[];
  readonly color: number;
  readonly level: number;
  readonly either: number;
  readonly orElse: Uint16Array;
  readonly anonymous: EverythingAnonymous;
  readonly both: EverythingBoth;
  readonly low: number;
  readonly middle: number;
  readonly negative: number;
  readonly wide: bigint;
  readonly address: bigint;
  readonly grid: Uint8Array;
}

export function decodeEverything(views: RecordViews, at: number): Everything {
  return {
    u8: views.u8[at] as number,
    s8: views.i8[at + 1] as number,
    u16: views.u16[(at + 2) >> 1] as number,
    s16: views.i16[(at + 4) >> 1] as number,
    yes: views.u8[at + 6] !== 0,
    u32: views.u32[(at + 8) >> 2] as number,
    s32: views.i32[(at + 12) >> 2] as number,
    u64: views.u64[(at + 16) >> 3] as bigint,
    s64: views.i64[(at + 24) >> 3] as bigint,
    text: readString(views.u8, at + 32, 8),
    full: readString(views.u8, at + 40, 4),
    raw: views.u8.slice(at + 44, at + 48),
    numbers: views.u16.slice((at + 48) >> 1, (at + 54) >> 1),
    point: decodePoint(views, at + 54),
    points: Array.from({ length: 2 }, (_, i) => decodePoint(views, at + 58 + i * 4)),
    color: views.u32[(at + 68) >> 2] as number,
    level: views.u32[(at + 72) >> 2] as number,
    either: views.u32[(at + 76) >> 2] as number,
    orElse: views.u16.slice((at + 76) >> 1, (at + 80) >> 1),
    anonymous: decodeEverythingAnonymous(views, at + 80),
    both: decodeEverythingBoth(views, at + 84),
    low: (views.u32[(at + 88) >> 2] as number) & 7,
    middle: ((views.u32[(at + 88) >> 2] as number) >>> 3) & 1048575,
    negative: ((views.i32[(at + 88) >> 2] as number) << 4) >> 27,
    wide: BigInt.asUintN(40, views.u64[(at + 96) >> 3] as bigint),
    address: views.u64[(at + 104) >> 3] as bigint,
    grid: views.u8.slice(at + 112, at + 118),
  };
}

export const everythingLayout: StructLayout = {
  name: "everything",
  size: 120,
  fields: [
    { name: "u8", offset: 0, size: 1, kind: "u8" },
    { name: "s8", offset: 1, size: 1, kind: "i8" },
    { name: "u16", offset: 2, size: 2, kind: "u16" },
    { name: "s16", offset: 4, size: 2, kind: "i16" },
    { name: "yes", offset: 6, size: 1, kind: "bool" },
    { name: "pad", offset: 7, size: 1, kind: "u8" },
    { name: "u32", offset: 8, size: 4, kind: "u32" },
    { name: "s32", offset: 12, size: 4, kind: "i32" },
    { name: "u64", offset: 16, size: 8, kind: "u64" },
    { name: "s64", offset: 24, size: 8, kind: "i64" },
    { name: "text", offset: 32, size: 8, kind: "string" },
    { name: "full", offset: 40, size: 4, kind: "string" },
    { name: "raw", offset: 44, size: 4, kind: "bytes" },
    {
      name: "numbers",
      offset: 48,
      size: 6,
      kind: "array",
      count: 3,
      element: { name: "", offset: 0, size: 2, kind: "u16" },
    },
    { name: "point", offset: 54, size: 4, kind: "struct", struct: pointLayout },
    {
      name: "points",
      offset: 58,
      size: 8,
      kind: "array",
      count: 2,
      element: { name: "", offset: 0, size: 4, kind: "struct", struct: pointLayout },
    },
    { name: "color", offset: 68, size: 4, kind: "u32" },
    { name: "level", offset: 72, size: 4, kind: "u32" },
    { name: "either", offset: 76, size: 4, kind: "u32" },
    {
      name: "or_else",
      offset: 76,
      size: 4,
      kind: "array",
      count: 2,
      element: { name: "", offset: 0, size: 2, kind: "u16" },
    },
    { name: "anonymous", offset: 80, size: 4, kind: "struct", struct: everythingAnonymousLayout },
    { name: "both", offset: 84, size: 4, kind: "struct", struct: everythingBothLayout },
    { name: "low", offset: 88, size: 4, kind: "u32", bits: { offset: 0, size: 3 } },
    { name: "middle", offset: 88, size: 4, kind: "u32", bits: { offset: 3, size: 20 } },
    { name: "negative", offset: 88, size: 4, kind: "i32", bits: { offset: 23, size: 5 } },
    { name: "wide", offset: 96, size: 8, kind: "u64", bits: { offset: 0, size: 40 } },
    { name: "address", offset: 104, size: 8, kind: "u64" },
    {
      name: "grid",
      offset: 112,
      size: 6,
      kind: "array",
      count: 2,
      element: { name: "", offset: 0, size: 3, kind: "bytes" },
    },
  ],
};

/** Where in a row each field lies. */
export const everythingColumns = {
  u8: 0,
  s8: 1,
  u16: 2,
  s16: 3,
  yes: 4,
  u32: 5,
  s32: 6,
  u64: 7,
  s64: 8,
  pointX: 9,
  pointY: 10,
  color: 11,
  level: 12,
  either: 13,
  anonymousInside: 14,
  bothWord: 15,
  bothByte: 16,
  low: 17,
  middle: 18,
  negative: 19,
  wide: 20,
  address: 21,
} as const;

/** Numbers per row of decodeEverythingColumns. */
export const everythingColumnCount = 22;

/** Writes one row of numbers per record to `out`; 64-bit ones are exact up to 2 ** 53. */
export function decodeEverythingColumns(
  views: RecordViews,
  offsets: Int32Array,
  count: number,
  out: Float64Array,
): void {
  const { i16, i32, i8, u16, u32, u64, u8 } = views;
  for (let i = 0, row = 0; i < count; i++, row += 22) {
    const at = offsets[i] as number;
    const at2 = at >> 1;
    const at4 = at >> 2;
    const at8 = at >> 3;
    out[row] = u8[at] as number;
    out[row + 1] = i8[at + 1] as number;
    out[row + 2] = u16[at2 + 1] as number;
    out[row + 3] = i16[at2 + 2] as number;
    out[row + 4] = u8[at + 6] as number;
    out[row + 5] = u32[at4 + 2] as number;
    out[row + 6] = i32[at4 + 3] as number;
    out[row + 7] = (u32[at4 + 5] as number) * 4294967296 + (u32[at4 + 4] as number);
    out[row + 8] = (i32[at4 + 7] as number) * 4294967296 + (u32[at4 + 6] as number);
    out[row + 9] = i16[at2 + 27] as number;
    out[row + 10] = i16[at2 + 28] as number;
    out[row + 11] = u32[at4 + 17] as number;
    out[row + 12] = u32[at4 + 18] as number;
    out[row + 13] = u32[at4 + 19] as number;
    out[row + 14] = u32[at4 + 20] as number;
    out[row + 15] = u32[at4 + 21] as number;
    out[row + 16] = u8[at + 84] as number;
    out[row + 17] = (u32[at4 + 22] as number) & 7;
    out[row + 18] = ((u32[at4 + 22] as number) >>> 3) & 1048575;
    out[row + 19] = ((i32[at4 + 22] as number) << 4) >> 27;
    out[row + 20] = Number(BigInt.asUintN(40, u64[at8 + 12] as bigint));
    out[row + 21] = (u32[at4 + 27] as number) * 4294967296 + (u32[at4 + 26] as number);
  }
}
