import { BpfError } from "../errors.ts";
import { type Btf, BtfKind } from "./btf.ts";
import { isStruct, type Member, members, requireStruct } from "./query.ts";

/** A number as memory holds it. */
export type ScalarKind =
  | "bool"
  | "u8"
  | "i8"
  | "u16"
  | "i16"
  | "u32"
  | "i32"
  | "u64"
  | "i64"
  | "f32"
  | "f64";

/** `string` is char[], `bytes` is u8[] and whatever has no better kind. */
export type FieldKind = ScalarKind | "string" | "bytes" | "struct" | "array";

export interface FieldLayout {
  /** As in C. Fields of anonymous structs and unions count as their parent's. */
  readonly name: string;
  /** From the start of the struct, in bytes. */
  readonly offset: number;
  /** In bytes; of a bit field, that of the integer it is part of. */
  readonly size: number;
  readonly kind: FieldKind;
  /** Where in that integer a bit field lies, counted from its least significant bit. */
  readonly bits?: { readonly offset: number; readonly size: number };
  /** The struct or union of a `struct` field. */
  readonly struct?: StructLayout;
  /** The elements of an `array` field; the element's offset is 0. */
  readonly count?: number;
  readonly element?: FieldLayout;
}

export interface StructLayout {
  /** As in C; empty for a struct without a tag. */
  readonly name: string;
  readonly size: number;
  /** In the order of C. Those of a union overlap. */
  readonly fields: readonly FieldLayout[];
}

const POINTER_BYTES = 8;
const MAX_DEPTH = 32;

/** Nested structs multiply: more fields than this is no layout that anyone decodes. */
const MAX_FIELDS = 20_000;

const ENCODING_SIGNED = 1;
const ENCODING_BOOL = 4;

const UNSIGNED: Readonly<Record<number, ScalarKind>> = { 1: "u8", 2: "u16", 4: "u32", 8: "u64" };
const SIGNED: Readonly<Record<number, ScalarKind>> = { 1: "i8", 2: "i16", 4: "i32", 8: "i64" };
const FLOATS: Readonly<Record<number, ScalarKind>> = { 4: "f32", 8: "f64" };

type TypeLayout = Pick<FieldLayout, "size" | "kind" | "struct" | "count" | "element">;

class LayoutReader {
  readonly #btf: Btf;
  #fields = 0;

  constructor(btf: Btf) {
    this.#btf = btf;
  }

  struct(id: number, depth: number): StructLayout {
    const name = this.#btf.typeName(id);
    if (depth > MAX_DEPTH) throw this.#invalid(name, `nested more than ${MAX_DEPTH} deep`);
    const fields: FieldLayout[] = [];
    for (const member of this.#flatMembers(id, 0, depth)) fields.push(this.#field(member, depth));
    return { name, size: this.#btf.sizeOrType(id), fields };
  }

  type(id: number, depth: number): TypeLayout {
    const btf = this.#btf;
    const type = btf.resolve(id);
    const kind = btf.kind(type);
    if (depth > MAX_DEPTH) throw this.#invalid(btf.typeName(id), "nested too deep");
    if (kind === BtfKind.PTR) return { kind: "u64", size: POINTER_BYTES };
    if (kind === BtfKind.ARRAY) return this.#array(type, depth);
    const size = btf.sizeOrType(type);
    if (isStruct(btf, type)) {
      return { kind: "struct", size, struct: this.struct(type, depth + 1) };
    }
    return { kind: this.#scalarKind(type, kind, size) ?? "bytes", size };
  }

  *#flatMembers(id: number, bitBase: number, depth: number): Generator<Member> {
    if (depth > MAX_DEPTH) throw this.#invalid(this.#btf.typeName(id), "nested too deep");
    for (const member of members(this.#btf, id)) {
      if (++this.#fields > MAX_FIELDS) {
        throw this.#invalid(this.#btf.typeName(id), `more than ${MAX_FIELDS} fields`);
      }
      const bitOffset = member.bitOffset + bitBase;
      const inner = member.name === "" ? this.#btf.resolve(member.type) : 0;
      if (inner !== 0 && isStruct(this.#btf, inner)) {
        yield* this.#flatMembers(inner, bitOffset, depth + 1);
      } else if (member.name !== "") yield { ...member, bitOffset };
    }
  }

  #field(member: Member, depth: number): FieldLayout {
    const { name, bitOffset, bitSize } = member;
    const type = this.type(member.type, depth);
    if (bitSize === 0) return { name, offset: bitOffset >>> 3, ...type };
    // The aligned integer of the declared type that holds the first bit.
    const offset = Math.floor(bitOffset / (type.size * 8)) * type.size;
    return { name, offset, ...type, bits: { offset: bitOffset - offset * 8, size: bitSize } };
  }

  #array(id: number, depth: number): TypeLayout {
    const btf = this.#btf;
    const elementType = btf.word(id, 3);
    const count = btf.word(id, 5);
    const layout = this.type(elementType, depth + 1);
    const size = layout.size * count;
    if (layout.kind === "u8") return { kind: "bytes", size };
    // A C compiler's char is one byte, signed or not; only its name tells it from a number.
    if (btf.typeName(btf.resolve(elementType)) === "char") return { kind: "string", size };
    return { kind: "array", size, count, element: { name: "", offset: 0, ...layout } };
  }

  #scalarKind(id: number, kind: number, size: number): ScalarKind | undefined {
    if (kind === BtfKind.ENUM || kind === BtfKind.ENUM64) {
      return (this.#btf.flag(id) ? SIGNED : UNSIGNED)[size];
    }
    if (kind === BtfKind.FLOAT) return FLOATS[size];
    if (kind !== BtfKind.INT)
      throw this.#invalid(this.#btf.typeName(id), `kind ${kind} in a struct`);
    const encoding = (this.#btf.word(id, 3) >>> 24) & 0xf;
    if ((encoding & ENCODING_BOOL) !== 0 && size === 1) return "bool";
    return ((encoding & ENCODING_SIGNED) !== 0 ? SIGNED : UNSIGNED)[size];
  }

  #invalid(name: string, detail: string): BpfError {
    const object = `${name || "unnamed type"} in ${this.#btf.name}`;
    return new BpfError({ operation: "lay out", object, code: "EBADMSG", detail });
  }
}

/**
 * The layout of a struct or union, nested ones included.
 *
 * @throws BpfError ENOENT when there is none of that name.
 */
export function structLayout(btf: Btf, name: string): StructLayout {
  return new LayoutReader(btf).struct(requireStruct(btf, name), 0);
}

/** The layout of any type that a variable can have, by id. */
export function typeLayout(btf: Btf, id: number): Omit<FieldLayout, "name" | "offset"> {
  return new LayoutReader(btf).type(id, 0);
}
