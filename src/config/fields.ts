import type { Node } from "yaml";
import { suggestion } from "../util/closest-name.ts";
import { scalarText, withoutDuplicateKeys, type YamlEntry } from "./yaml.ts";
import { yaml } from "./yaml-library.ts";

/** One key of a section: what its value must be, and the value read. */
export interface Field<T> {
  /** Ends the sentence "expected ...". */
  readonly expected: string;
  /** Undefined when the node is not such a value. */
  read(node: Node): T | undefined;
}

type FieldTable = Readonly<Record<string, Field<unknown>>>;

export type FieldValues<F extends FieldTable> = {
  readonly [K in keyof F]?: F[K] extends Field<infer T> ? T : never;
};

/** Reads a section; unknown keys and wrong values go to `problems`, where only known keys are shown. */
export function readFields<F extends FieldTable>(
  fields: F,
  entries: readonly YamlEntry[],
  problems: string[],
): FieldValues<F> {
  const values: Record<string, unknown> = {};
  for (const { key, where, value } of withoutDuplicateKeys(entries, problems)) {
    const field = Object.hasOwn(fields, key) ? fields[key] : undefined;
    if (field === undefined) {
      problems.push(`${where}: unknown key${suggestion(key, Object.keys(fields))}`);
    } else if (value !== null && !(yaml().isScalar(value) && value.value === null)) {
      const read = field.read(value);
      if (read === undefined) problems.push(`${where}: ${key}: expected ${field.expected}`);
      values[key] = read;
    }
  }
  return values as FieldValues<F>;
}

export const textField: Field<string> = {
  expected: "a text",
  read: (node) => scalarText(node) || undefined,
};

export const booleanField: Field<boolean> = {
  expected: "true or false",
  read: (node) =>
    yaml().isScalar(node) && typeof node.value === "boolean" ? node.value : undefined,
};

export const textsField: Field<readonly string[]> = {
  expected: "a list of texts",
  read: (node) => {
    const texts = yaml().isSeq(node) ? node.items.map(scalarText) : [undefined];
    return texts.every((text) => text !== undefined) ? texts : undefined;
  },
};

/** A word that stands for something else. */
export function enumField<T>(words: ReadonlyMap<string, T>): Field<T> {
  return {
    expected: `one of ${[...words.keys()].join(", ")}`,
    read: (node) => words.get(scalarText(node) ?? ""),
  };
}

export function enumsField<T>(words: ReadonlyMap<string, T>): Field<readonly T[]> {
  return {
    expected: `a list of ${[...words.keys()].join(", ")}`,
    read: (node) => {
      const found = yaml().isSeq(node)
        ? node.items.map((item) => words.get(scalarText(item) ?? ""))
        : [];
      const known = found.filter((word) => word !== undefined);
      return yaml().isSeq(node) && known.length === found.length ? known : undefined;
    },
  };
}
