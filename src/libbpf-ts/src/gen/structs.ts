import type { FieldLayout, ScalarKind, StructLayout } from "../btf/layout.ts";
import { BpfError } from "../errors.ts";
import { pascalCase } from "./names.ts";

export const SCALAR_BYTES: Readonly<Record<ScalarKind, number>> = {
  bool: 1,
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  u64: 8,
  i64: 8,
  f32: 4,
  f64: 8,
};

export function scalarKind(field: FieldLayout): ScalarKind | undefined {
  return field.kind in SCALAR_BYTES ? (field.kind as ScalarKind) : undefined;
}

function unsupported(path: string, detail: string): BpfError {
  return new BpfError({ operation: "generate code for", object: path, code: "EINVAL", detail });
}

/** A struct to generate code for, after those that it contains. */
export interface NamedStruct {
  /** Name of its interface. */
  readonly name: string;
  readonly layout: StructLayout;
}

/** The structs to generate and the name of each. */
export class StructSet {
  readonly list: NamedStruct[] = [];
  /** Structs without a tag have no name to find them by, so the layouts themselves are the keys. */
  readonly #names = new Map<StructLayout, string>();
  readonly #alignments = new Map<string, number>();

  /** Adds a struct and all that it contains, once each. */
  add(layout: StructLayout, fallbackName = ""): string {
    const name = pascalCase(layout.name) === "_" ? fallbackName : pascalCase(layout.name);
    this.#names.set(layout, name);
    const known = this.list.find((struct) => struct.name === name);
    if (known !== undefined) {
      if (JSON.stringify(known.layout) === JSON.stringify(layout)) return name;
      throw unsupported(name, "two different structs have this name");
    }
    this.#alignments.set(name, 1);
    let alignment = 1;
    for (const field of layout.fields) {
      const path = `${layout.name || name}.${field.name}`;
      alignment = Math.max(
        alignment,
        this.#fieldAlignment(field, `${name}${pascalCase(field.name)}`, path),
      );
    }
    this.#alignments.set(name, alignment);
    this.list.push({ name, layout });
    return name;
  }

  nameOf(layout: StructLayout): string {
    return this.#names.get(layout) ?? pascalCase(layout.name);
  }

  #fieldAlignment(field: FieldLayout, fallbackName: string, path: string): number {
    const content = field.kind === "array" ? field.element : field;
    if (content === undefined) throw unsupported(path, "an array without an element");
    const scalar = scalarKind(content);
    let alignment = scalar === undefined ? 1 : SCALAR_BYTES[scalar];
    if (content.struct !== undefined) {
      alignment = this.#alignments.get(this.add(content.struct, fallbackName)) ?? 1;
    }
    if (field.offset % alignment !== 0) {
      throw unsupported(
        path,
        `not aligned to ${alignment} bytes: packed structs are not supported`,
      );
    }
    const { bits } = field;
    if (bits !== undefined && bits.offset + bits.size > field.size * 8) {
      throw unsupported(path, "a bit field across two integers is not supported");
    }
    return alignment;
  }
}
