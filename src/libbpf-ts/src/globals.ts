import { Btf } from "./btf/btf.ts";
import { typeLayout } from "./btf/layout.ts";
import { type Variable, variables } from "./btf/query.ts";
import { BpfError } from "./errors.ts";
import { libbpf, memoryView, type Pointer } from "./ffi.ts";
import { readScalar, type Scalar, writeScalar } from "./scalar.ts";

/**
 * A number or truth value for a scalar (a bigint where it has 64 bits), a string for a char array,
 * bytes for anything else.
 */
export type GlobalValue = Scalar | string | Uint8Array;

/** Gives the bytes of the map that holds a section. */
type SectionMemory = (map: Pointer) => Uint8Array;

/** The object's BTF as libbpf completed it: clang leaves the variables' offsets to the loader. */
function openedBtf(name: string, object: Pointer): Btf | undefined {
  const btf = libbpf().bpf_object__btf(object);
  if (btf === null) return undefined;
  const size: [number] = [0];
  const address = libbpf().btf__raw_data(btf, size);
  if (address === null) return undefined;
  // A copy: libbpf's own is freed when BTF is changed during load.
  return new Btf(new Uint8Array(memoryView(address, size[0])).slice(), name);
}

function dataMaps(object: Pointer): Map<string, Pointer> {
  const { bpf_object__next_map, bpf_map__is_internal, bpf_map__name } = libbpf();
  const maps = new Map<string, Pointer>();
  let map = bpf_object__next_map(object, null);
  while (map !== null) {
    if (bpf_map__is_internal(map)) {
      // "object.rodata" for the standard sections, ".rodata.own" for others: bpf_map__name.
      const name = bpf_map__name(map);
      maps.set(name.slice(Math.max(0, name.indexOf("."))), map);
    }
    map = bpf_object__next_map(object, map);
  }
  return maps;
}

/** The global variables of an object, by name. */
export class GlobalVariables {
  readonly #object: string;
  readonly #btf: Btf | undefined;
  readonly #variables = new Map<string, Variable>();
  readonly #maps: ReadonlyMap<string, Pointer>;

  constructor(name: string, object: Pointer) {
    this.#object = name;
    this.#btf = openedBtf(name, object);
    this.#maps = dataMaps(object);
    for (const variable of this.#btf === undefined ? [] : variables(this.#btf)) {
      if (this.#maps.has(variable.section)) this.#variables.set(variable.name, variable);
    }
  }

  get names(): string[] {
    return [...this.#variables.keys()];
  }

  read(name: string, memory: SectionMemory): GlobalValue {
    const { kind, bytes } = this.#locate("read variable", name, memory);
    if (kind === "string") {
      const end = bytes.indexOf(0);
      return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString();
    }
    if (kind === "bytes" || kind === "struct" || kind === "array") return bytes.slice();
    return readScalar(kind, new DataView(bytes.buffer, bytes.byteOffset), 0);
  }

  write(name: string, value: GlobalValue, memory: SectionMemory): void {
    const { kind, bytes } = this.#locate("set variable", name, memory);
    if (typeof value === "string" || value instanceof Uint8Array) {
      this.#writeBytes(name, kind, bytes, value);
      return;
    }
    const unfit = (detail: string): BpfError => this.#invalid(name, detail);
    if (kind === "string" || kind === "bytes" || kind === "struct" || kind === "array") {
      throw unfit(`it takes ${kind === "string" ? "a string" : `${bytes.length} bytes`}`);
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    if (!writeScalar(kind, view, 0, value)) throw unfit(`${value} is no ${kind}`);
  }

  #writeBytes(name: string, kind: string, target: Uint8Array, value: string | Uint8Array): void {
    if (typeof value === "string" && kind !== "string") {
      throw this.#invalid(name, "it is no array of char");
    }
    const bytes = typeof value === "string" ? Buffer.from(value) : value;
    // A C string needs its end; bytes must be exactly the variable.
    const fits =
      typeof value === "string" ? bytes.length < target.length : bytes.length === target.length;
    if (!fits) throw this.#invalid(name, `${bytes.length} bytes for one of ${target.length}`);
    target.fill(0);
    target.set(bytes);
  }

  #locate(operation: string, name: string, memory: SectionMemory) {
    const variable = this.#variables.get(name);
    const map = variable === undefined ? undefined : this.#maps.get(variable.section);
    if (variable === undefined || map === undefined || this.#btf === undefined) {
      const known = this.#btf === undefined ? "the object has no BTF" : this.names.join(", ");
      const object = `${name} in ${this.#object}`;
      throw new BpfError({
        operation,
        object,
        code: "ENOENT",
        detail: `known: ${known || "none"}`,
      });
    }
    const { kind } = typeLayout(this.#btf, variable.type);
    const bytes = memory(map).subarray(variable.offset, variable.offset + variable.size);
    return { kind, bytes };
  }

  #invalid(name: string, detail: string): BpfError {
    const object = `${name} in ${this.#object}`;
    return new BpfError({ operation: "set variable", object, code: "EINVAL", detail });
  }
}
