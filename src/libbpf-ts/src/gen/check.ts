import type { Btf } from "../btf/btf.ts";
import { type FieldLayout, type StructLayout, structLayout } from "../btf/layout.ts";
import { BpfError } from "../errors.ts";

type Difference = string | undefined;

function differentValue(path: string, what: string, own: unknown, other: unknown): Difference {
  if (own === other) return undefined;
  return `${path}: ${what} ${String(other)} in the object, ${String(own)} in the generated code`;
}

function differentField(path: string, own: FieldLayout, other: FieldLayout): Difference {
  const difference =
    differentValue(path, "name", own.name, other.name) ??
    differentValue(path, "offset", own.offset, other.offset) ??
    differentValue(path, "size", own.size, other.size) ??
    differentValue(path, "kind", own.kind, other.kind) ??
    differentValue(path, "count", own.count, other.count) ??
    differentValue(path, "bit offset", own.bits?.offset, other.bits?.offset) ??
    differentValue(path, "bit size", own.bits?.size, other.bits?.size);
  if (difference !== undefined) return difference;
  if (own.struct !== undefined && other.struct !== undefined) {
    return differentStruct(path, own.struct, other.struct);
  }
  if (own.element !== undefined && other.element !== undefined) {
    return differentField(`${path}[]`, own.element, other.element);
  }
  return undefined;
}

function differentStruct(path: string, own: StructLayout, other: StructLayout): Difference {
  for (const [index, field] of own.fields.entries()) {
    const counterpart = other.fields[index];
    const fieldPath = `${path}.${field.name}`;
    if (counterpart === undefined) return `${fieldPath}: missing in the object`;
    const difference = differentField(fieldPath, field, counterpart);
    if (difference !== undefined) return difference;
  }
  const extra = other.fields[own.fields.length];
  if (extra !== undefined) return `${path}.${extra.name}: missing in the generated code`;
  return differentValue(path, "size", own.size, other.size);
}

/**
 * Compares a generated layout with an object's BTF, so that a stale object is an error at start and
 * not garbage later.
 *
 * @throws BpfError EBADMSG that names the first field that differs; ENOENT without the struct.
 */
export function checkLayout(layout: StructLayout, btf: Btf): void {
  const difference = differentStruct(layout.name, layout, structLayout(btf, layout.name));
  if (difference === undefined) return;
  throw new BpfError({
    operation: "check layout of",
    object: btf.name,
    code: "EBADMSG",
    detail: `${difference}; build the object and generate the code anew`,
  });
}
