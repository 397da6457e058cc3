import type { Btf } from "../btf/btf.ts";
import { type FieldLayout, structLayout } from "../btf/layout.ts";
import { enumValues } from "../btf/query.ts";
import { BpfError } from "../errors.ts";
import { printColumns } from "./columns.ts";
import { printStruct } from "./decode.ts";
import { camelCase, enumeratorNames } from "./names.ts";
import { Entries, type Literal, printLiteral } from "./print.ts";
import { type NamedStruct, StructSet } from "./structs.ts";

export interface GenerateOptions {
  /** Where the structs are defined, for the first line: "bpf/events.h". */
  readonly source: string;
  /** Enums to make tables of names from. They must be in the BTF: see the README on anchors. */
  readonly enums?: readonly string[];
  /** Fields of a struct that its column decoder gets, as C paths. Default: all scalar fields. */
  readonly columns?: Readonly<Record<string, readonly string[]>>;
  /** What the generated code imports this package as. Default "libbpf-ts". */
  readonly packageName?: string;
}

function lowerFirst(name: string): string {
  return name.slice(0, 1).toLowerCase() + name.slice(1);
}

function fieldLiteral(field: FieldLayout, structs: StructSet): Literal {
  const { name, offset, size, kind, bits, struct, count, element } = field;
  const entries: [string, Literal][] = [
    ["name", JSON.stringify(name)],
    ["offset", String(offset)],
    ["size", String(size)],
    ["kind", JSON.stringify(kind)],
  ];
  if (bits !== undefined) {
    const list: [string, string][] = [
      ["offset", String(bits.offset)],
      ["size", String(bits.size)],
    ];
    entries.push(["bits", new Entries(list)]);
  }
  if (struct !== undefined) entries.push(["struct", `${lowerFirst(structs.nameOf(struct))}Layout`]);
  if (count !== undefined) entries.push(["count", String(count)]);
  if (element !== undefined) entries.push(["element", fieldLiteral(element, structs)]);
  return new Entries(entries);
}

function printLayout({ name, layout }: NamedStruct, structs: StructSet): string {
  const fields = layout.fields.map((field) => fieldLiteral(field, structs));
  // Biome keeps an object broken whose first key is on a line of its own.
  return (
    `export const ${lowerFirst(name)}Layout: StructLayout = {\n` +
    `  name: ${JSON.stringify(layout.name)},\n  size: ${layout.size},\n` +
    `  fields: ${printLiteral(fields, 2, "  fields: ,".length)},\n};\n`
  );
}

function printEnum(btf: Btf, name: string): string {
  const values = enumValues(btf, name);
  if (values === undefined) {
    throw new BpfError({
      operation: "generate names of enum",
      object: `${name} in ${btf.name}`,
      code: "ENOENT",
      detail: "BTF has none of that name (is the enum used, or anchored, in the object?)",
    });
  }
  const names = enumeratorNames(name, [...values.keys()]);
  const seen = new Set<bigint>();
  const lines: string[] = [];
  for (const [index, value] of [...values.values()].entries()) {
    if (seen.has(value)) continue;
    seen.add(value);
    const key = value < 0n ? `"${value}"` : String(value);
    lines.push(`  ${key}: ${JSON.stringify(names[index])},\n`);
  }
  return `/** enum ${name}. */\nexport const ${camelCase(name)}Names = {\n${lines.join("")}} as const;\n`;
}

/**
 * Writes TypeScript for structs of an object: for each struct, and each one inside it, an
 * interface, its layout and `decodeX(views, at)`; for each of the named ones also
 * `decodeXColumns`, which fills a Float64Array. The text is as Biome formats it.
 *
 * @throws BpfError when BTF lacks a struct, enum or field, or a struct is packed.
 */
export function generateLayouts(
  btf: Btf,
  structNames: readonly string[],
  options: GenerateOptions,
): string {
  const structs = new StructSet();
  for (const name of structNames) structs.add(structLayout(btf, name));
  const wanted = new Set(structNames);
  const parts: string[] = [];
  for (const name of options.enums ?? []) parts.push(printEnum(btf, name));
  for (const struct of structs.list) {
    const { name } = struct.layout;
    const title = `/** ${name === "" ? "An untagged struct" : name}, ${struct.layout.size} bytes. */\n`;
    parts.push(title + printStruct(struct, structs), printLayout(struct, structs));
    if (wanted.has(name)) parts.push(printColumns(struct, options.columns?.[name]));
  }
  const code = parts.filter((part) => part !== "").join("\n");
  const imports = code.includes("readString(")
    ? "import { type RecordViews, readString, type StructLayout }"
    : "import type { RecordViews, StructLayout }";
  const packageName = JSON.stringify(options.packageName ?? "libbpf-ts");
  return (
    `// Generated from ${options.source}: do not edit.\n\n` +
    `${imports} from ${packageName};\n\n${code}`
  );
}
