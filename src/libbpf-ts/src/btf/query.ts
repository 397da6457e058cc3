import { BpfError } from "../errors.ts";
import { type Btf, BtfKind } from "./btf.ts";

/** Anonymous members looked into for one name: real structs have dozens, garbage has rings. */
const MAX_ANONYMOUS = 1000;

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

interface Budget {
  members: number;
}

function findMember(btf: Btf, id: number, name: string, budget: Budget): number | undefined {
  for (const member of members(btf, id)) {
    if (member.name === name) return btf.resolve(member.type);
    if (member.name !== "") continue;
    if (--budget.members < 0) return undefined;
    const inner = btf.resolve(member.type);
    if (!isStruct(btf, inner)) continue;
    const found = findMember(btf, inner, name, budget);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * Whether a struct or union has a field. `path` may go into nested structs: "__sk_common.skc_dport".
 * Anonymous members are looked into. False when there is no such struct.
 */
export function hasField(btf: Btf, struct: string, path: string): boolean {
  let current = btf.find(struct, BtfKind.STRUCT, BtfKind.UNION);
  for (const name of path.split(".")) {
    if (name === "" || current === undefined || !isStruct(btf, current)) return false;
    current = findMember(btf, current, name, { members: MAX_ANONYMOUS });
    if (current === undefined) return false;
  }
  return true;
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

export interface FunctionSignature {
  readonly name: string;
  /** Names of the parameters; empty strings where BTF has none. */
  readonly parameters: readonly string[];
}

function parameterNames(btf: Btf, prototype: number): string[] {
  const names: string[] = [];
  for (let i = 0; i < btf.count(prototype); i++) {
    names.push(btf.string(btf.word(prototype, 3 + i * 2)));
  }
  return names;
}

/**
 * A function of the kernel or of a module. Functions whose name the compiler changed
 * ("x.constprop.0") are not in BTF.
 */
export function findFunction(btf: Btf, name: string): FunctionSignature | undefined {
  const id = btf.find(name, BtfKind.FUNC);
  if (id === undefined) return undefined;
  return { name, parameters: parameterNames(btf, btf.sizeOrType(id)) };
}

/**
 * The arguments that a tp_btf program of this tracepoint gets, or undefined when there is no such
 * tracepoint. The count is always right; names are there from about Linux 5.19 on.
 */
export function findTracepoint(btf: Btf, name: string): FunctionSignature | undefined {
  // The typedef is what the verifier itself goes by: bpf_check_attach_target, kernel/bpf/verifier.c.
  const typedef = btf.find(`btf_trace_${name}`, BtfKind.TYPEDEF);
  if (typedef === undefined) return undefined;
  const pointer = btf.resolve(typedef);
  const prototype = btf.kind(pointer) === BtfKind.PTR ? btf.sizeOrType(pointer) : 0;
  // The first parameter is the tracepoint's private data.
  const parameters = parameterNames(btf, prototype).slice(1);
  const handler = findFunction(btf, `__bpf_trace_${name}`)?.parameters.slice(1);
  const named = handler?.length === parameters.length ? handler : parameters;
  return { name, parameters: named };
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
