import { BpfError } from "../errors.ts";
import { type Btf, BtfKind } from "./btf.ts";

/** A member of a struct or union as BTF has it. */
export interface Member {
  /** Empty for an anonymous struct or union. */
  readonly name: string;
  readonly type: number;
  /** From the struct's start, in bits. */
  readonly bitOffset: number;
  /** 0 for a member that is no bit field. */
  readonly bitSize: number;
}

/** Walks over the members of a struct or union; anonymous ones are not entered. */
export function* members(btf: Btf, id: number): Generator<Member> {
  const hasBits = btf.flag(id);
  const count = btf.count(id);
  for (let i = 0; i < count; i++) {
    const offset = btf.word(id, 5 + i * 3);
    yield {
      name: btf.string(btf.word(id, 3 + i * 3)),
      type: btf.word(id, 4 + i * 3),
      bitOffset: hasBits ? offset & 0xffffff : offset,
      bitSize: hasBits ? offset >>> 24 : 0,
    };
  }
}

export function isStruct(btf: Btf, id: number): boolean {
  const kind = btf.kind(id);
  return kind === BtfKind.STRUCT || kind === BtfKind.UNION;
}

/** Enumerators by name, or undefined when there is no such enum. */
export function enumValues(btf: Btf, name: string): Map<string, bigint> | undefined {
  const id = btf.find(name, BtfKind.ENUM, BtfKind.ENUM64);
  if (id === undefined) return undefined;
  const wide = btf.kind(id) === BtfKind.ENUM64;
  const signed = btf.flag(id);
  const values = new Map<string, bigint>();
  const words = wide ? 3 : 2;
  for (let i = 0; i < btf.count(id); i++) {
    const at = 3 + i * words;
    const high = wide ? BigInt(btf.word(id, at + 2)) : 0n;
    const bits = (high << 32n) | BigInt(btf.word(id, at + 1));
    const width = wide ? 64 : 32;
    values.set(btf.string(btf.word(id, at)), signed ? BigInt.asIntN(width, bits) : bits);
  }
  return values;
}

/** A global variable of an object. */
export interface Variable {
  readonly name: string;
  /** The section that holds it: ".rodata", ".data", ".bss" or one of its own. */
  readonly section: string;
  readonly offset: number;
  readonly size: number;
  readonly type: number;
}

/** The global variables, as the BTF of an object lists them once libbpf has opened it. */
export function variables(btf: Btf): Variable[] {
  const found: Variable[] = [];
  for (let id = 1; id < btf.endId; id++) {
    if (btf.kind(id) !== BtfKind.DATASEC) continue;
    const section = btf.typeName(id);
    for (let i = 0; i < btf.count(id); i++) {
      const variable = btf.word(id, 3 + i * 3);
      found.push({
        name: btf.typeName(variable),
        section,
        offset: btf.word(id, 4 + i * 3),
        size: btf.word(id, 5 + i * 3),
        type: btf.sizeOrType(variable),
      });
    }
  }
  return found;
}

/** @throws BpfError that names the struct. */
export function requireStruct(btf: Btf, name: string): number {
  const id = btf.find(name, BtfKind.STRUCT, BtfKind.UNION);
  if (id !== undefined) return id;
  throw new BpfError({
    operation: "find struct",
    object: `${name} in ${btf.name}`,
    code: "ENOENT",
    detail: "BTF has none of that name (is the struct used, or anchored, in the object?)",
  });
}
