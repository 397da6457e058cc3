import { BpfError } from "../errors.ts";

// Elf64_Ehdr and Elf64_Shdr: System V ABI, chapter 4.
const HEADER_BYTES = 64;
const SECTION_BYTES = 64;
const ELF_MAGIC = 0x464c457f;
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const SHT_NOBITS = 8;

function malformed(name: string, detail: string): BpfError {
  return new BpfError({ operation: "read ELF file", object: name, code: "EBADMSG", detail });
}

class Elf {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #name: string;

  constructor(bytes: Uint8Array, name: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#name = name;
    if (bytes.length < HEADER_BYTES || this.#view.getUint32(0, true) !== ELF_MAGIC) {
      throw malformed(name, "no ELF header");
    }
    if (bytes[4] !== CLASS_64 || bytes[5] !== LITTLE_ENDIAN) {
      throw malformed(name, "not a 64-bit little-endian file");
    }
  }

  section(wanted: string): Uint8Array | undefined {
    const count = this.#view.getUint16(60, true);
    const names = this.#content(this.#header(this.#view.getUint16(62, true)));
    const target = Buffer.from(`${wanted}\0`);
    for (let index = 0; index < count; index++) {
      const header = this.#header(index);
      const nameAt = header.getUint32(0, true);
      const name = names.subarray(nameAt, nameAt + target.length);
      if (target.equals(name)) return this.#content(header);
    }
    return undefined;
  }

  #header(index: number): DataView {
    const at = this.#number(this.#view, 40) + index * SECTION_BYTES;
    if (at + SECTION_BYTES > this.#bytes.length) {
      throw malformed(this.#name, `section header ${index} lies outside of the file`);
    }
    return new DataView(this.#view.buffer, this.#view.byteOffset + at, SECTION_BYTES);
  }

  #content(header: DataView): Uint8Array {
    if (header.getUint32(4, true) === SHT_NOBITS) return new Uint8Array(0);
    const at = this.#number(header, 24);
    const length = this.#number(header, 32);
    if (at + length > this.#bytes.length) {
      throw malformed(this.#name, `a section at ${at} of ${length} bytes lies outside of the file`);
    }
    return this.#bytes.subarray(at, at + length);
  }

  #number(view: DataView, at: number): number {
    return Number(view.getBigUint64(at, true));
  }
}

/**
 * The bytes of a section of an ELF file, without a copy, or undefined when there is none.
 *
 * @param name of the file, for errors.
 * @throws BpfError EBADMSG when the file is no 64-bit little-endian ELF file, or cut off.
 */
export function elfSection(
  bytes: Uint8Array,
  section: string,
  name: string,
): Uint8Array | undefined {
  return new Elf(bytes, name).section(section);
}
