import { BpfError } from "../errors.ts";
import { elfSection } from "./elf.ts";
import { NameIndex } from "./names.ts";

/** BTF_KIND_* of include/uapi/linux/btf.h. */
export const BtfKind = {
  VOID: 0,
  INT: 1,
  PTR: 2,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  FWD: 7,
  TYPEDEF: 8,
  VOLATILE: 9,
  CONST: 10,
  RESTRICT: 11,
  FUNC: 12,
  FUNC_PROTO: 13,
  VAR: 14,
  DATASEC: 15,
  FLOAT: 16,
  DECL_TAG: 17,
  TYPE_TAG: 18,
  ENUM64: 19,
} as const;

/** 32-bit words that follow a type's three, by kind: so many, and so many per member. */
const EXTRA_WORDS: readonly (readonly [fixed: number, perMember: number])[] = [
  [0, 0],
  [1, 0],
  [0, 0],
  [3, 0],
  [0, 3],
  [0, 3],
  [0, 2],
  [0, 0],
  [0, 0],
  [0, 0],
  [0, 0],
  [0, 0],
  [0, 0],
  [0, 2],
  [1, 0],
  [0, 3],
  [0, 0],
  [1, 0],
  [0, 0],
  [0, 3],
];

const MAGIC = 0xeb9f;
const MIN_HEADER_BYTES = 24;
const TYPE_WORDS = 3;

/** Typedefs and qualifiers around one type: garbage may form a ring of them. */
const MAX_DEPTH = 64;

/** Kinds that stand for another type with the same layout. */
const TRANSPARENT: ReadonlySet<number> = new Set([
  BtfKind.TYPEDEF,
  BtfKind.VOLATILE,
  BtfKind.CONST,
  BtfKind.RESTRICT,
  BtfKind.TYPE_TAG,
]);

interface Sections {
  /** The type section. */
  readonly words: Uint32Array;
  readonly strings: Uint8Array;
}

function malformed(name: string, detail: string): BpfError {
  return new BpfError({ operation: "parse BTF of", object: name, code: "EBADMSG", detail });
}

function splitSections(bytes: Uint8Array, name: string): Sections {
  if (bytes.length < MIN_HEADER_BYTES) throw malformed(name, `only ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = view.getUint16(0, true);
  if (magic !== MAGIC)
    throw malformed(name, `magic 0x${magic.toString(16)}, not little-endian BTF`);
  const headerBytes = view.getUint32(4, true);
  const field = (at: number): number => view.getUint32(at, true);
  const [typeAt, typeBytes, stringAt, stringBytes] = [field(8), field(12), field(16), field(20)];
  const cut = (what: string, at: number, length: number): Uint8Array => {
    const start = headerBytes + at;
    if (start + length <= bytes.length) return bytes.subarray(start, start + length);
    throw malformed(name, `the ${what} section ends at ${start + length} of ${bytes.length} bytes`);
  };
  const types = cut("type", typeAt, typeBytes);
  const strings = cut("string", stringAt, stringBytes);
  if (typeBytes % 4 !== 0) throw malformed(name, `a type section of ${typeBytes} bytes`);
  if (strings.length > 0 && strings.at(-1) !== 0) throw malformed(name, "strings without an end");
  // slice() of a Buffer copies nothing.
  const aligned = types.byteOffset % 4 === 0 ? types : new Uint8Array(types);
  return { words: new Uint32Array(aligned.buffer, aligned.byteOffset, typeBytes / 4), strings };
}

/** The index into `words` of each type, in the order of their ids. */
function indexTypes(words: Uint32Array, name: string): Uint32Array {
  // Most types have a few members; growing beats a second pass over megabytes.
  let starts = new Uint32Array(words.length / 6 + 16);
  let count = 0;
  let at = 0;
  while (at < words.length) {
    const info = words[at + 1] ?? 0;
    const extra = EXTRA_WORDS[(info >>> 24) & 0x1f];
    if (extra === undefined) {
      throw malformed(name, `type ${count + 1} is of the unknown kind ${(info >>> 24) & 0x1f}`);
    }
    if (count === starts.length) {
      const larger = new Uint32Array(count * 2);
      larger.set(starts);
      starts = larger;
    }
    starts[count++] = at;
    at += TYPE_WORDS + extra[0] + extra[1] * (info & 0xffff);
  }
  if (at > words.length) throw malformed(name, `type ${count} is cut off`);
  return starts.subarray(0, count);
}

/**
 * BPF type format. Types stay in their binary form and are addressed by id, as in the kernel; id 0
 * is void. A module's BTF continues the ids and strings of the kernel's, its base.
 */
export class Btf {
  /** What it was read from, for errors. */
  readonly name: string;
  readonly base: Btf | undefined;
  readonly #words: Uint32Array;
  readonly #strings: Uint8Array;
  readonly #starts: Uint32Array;
  readonly #firstId: number;
  readonly #firstString: number;
  #names: NameIndex | undefined;

  /**
   * @param bytes raw BTF, which is kept and not copied.
   * @throws BpfError EBADMSG when it is malformed.
   */
  constructor(bytes: Uint8Array, name: string, base?: Btf) {
    const { words, strings } = splitSections(bytes, name);
    this.name = name;
    this.base = base;
    this.#words = words;
    this.#strings = strings;
    this.#starts = indexTypes(words, name);
    this.#firstId = base?.endId ?? 1;
    this.#firstString = base?.stringBytes ?? 0;
  }

  /**
   * From the `.BTF` section of an ELF object.
   *
   * @throws BpfError when there is none: the object was compiled without -g.
   */
  static fromObject(bytes: Uint8Array, name: string): Btf {
    const section = elfSection(bytes, ".BTF", name);
    if (section !== undefined && section.length > 0) return new Btf(section, name);
    const detail = "no .BTF section: compile with -g";
    throw new BpfError({ operation: "read BTF of", object: name, code: "ENODATA", detail });
  }

  /** One more than the last id. */
  get endId(): number {
    return this.#firstId + this.#starts.length;
  }

  /** Bytes of all strings, the base's included. */
  get stringBytes(): number {
    return this.#firstString + this.#strings.length;
  }

  kind(id: number): number {
    return id === 0 ? BtfKind.VOID : (this.word(id, 1) >>> 24) & 0x1f;
  }

  /** Number of members, parameters, enumerators or variables. */
  count(id: number): number {
    return id === 0 ? 0 : this.word(id, 1) & 0xffff;
  }

  /** Whether kind_flag is set: bit fields in a struct, signed values in an enum. */
  flag(id: number): boolean {
    return id !== 0 && this.word(id, 1) >>> 31 === 1;
  }

  typeName(id: number): string {
    return id === 0 ? "void" : this.string(this.word(id, 0));
  }

  /** The third word: the size of a sized type, the id that another kind refers to. */
  sizeOrType(id: number): number {
    return this.word(id, 2);
  }

  /** A 32-bit word of a type; from 3 on those that follow it. */
  word(id: number, index: number): number {
    if (id < this.#firstId && this.base !== undefined) return this.base.word(id, index);
    const start = this.#starts[id - this.#firstId];
    const word = start === undefined ? undefined : this.#words[start + index];
    if (word !== undefined) return word;
    throw malformed(this.name, `no type ${id} (or no word ${index} of it)`);
  }

  string(offset: number): string {
    if (offset < this.#firstString && this.base !== undefined) return this.base.string(offset);
    const start = offset - this.#firstString;
    const end = this.#strings.indexOf(0, start);
    if (end < 0) throw malformed(this.name, `no string at ${offset}`);
    return Buffer.from(
      this.#strings.buffer,
      this.#strings.byteOffset + start,
      end - start,
    ).toString();
  }

  /** Without typedefs and qualifiers. */
  resolve(id: number): number {
    let current = id;
    for (let depth = 0; depth < MAX_DEPTH; depth++) {
      if (!TRANSPARENT.has(this.kind(current))) return current;
      current = this.sizeOrType(current);
    }
    throw malformed(this.name, `type ${id} refers to itself`);
  }

  /** The first type of that name and one of these kinds. A module's own types come first. */
  find(name: string, ...kinds: readonly number[]): number | undefined {
    if (name === "") return undefined;
    const offsets = this.stringOffsets(name);
    return this.#findByOffsets(offsets, kinds) ?? this.base?.find(name, ...kinds);
  }

  /** Where a string lies. It is one place, or none, unless strings were not deduplicated. */
  stringOffsets(text: string): number[] {
    const offsets = this.base?.stringOffsets(text) ?? [];
    const wanted = Buffer.from(`${text}\0`);
    const strings = Buffer.from(
      this.#strings.buffer,
      this.#strings.byteOffset,
      this.#strings.byteLength,
    );
    for (let at = strings.indexOf(wanted); at >= 0; at = strings.indexOf(wanted, at + 1)) {
      // A longer string may end in this one: allowed to be shared, and so counted too.
      offsets.push(at + this.#firstString);
    }
    return offsets;
  }

  #findByOffsets(offsets: readonly number[], kinds: readonly number[]): number | undefined {
    this.#names ??= new NameIndex(this.#words, this.#starts);
    for (const offset of offsets) {
      for (const index of this.#names.types(offset)) {
        const id = this.#firstId + index;
        if (kinds.includes(this.kind(id))) return id;
      }
    }
    return undefined;
  }
}
