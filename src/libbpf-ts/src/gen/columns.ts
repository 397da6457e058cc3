import type { FieldLayout, ScalarKind, StructLayout } from "../btf/layout.ts";
import { BpfError } from "../errors.ts";
import { bitFieldExpression, viewName } from "./decode.ts";
import { camelCase, isPadding } from "./names.ts";
import { type NamedStruct, SCALAR_BYTES, scalarKind } from "./structs.ts";

interface Column {
  /** As in C: "head.time_ns". */
  readonly path: string;
  readonly kind: ScalarKind;
  readonly field: FieldLayout;
  /** From the start of the record, in bytes. */
  readonly offset: number;
}

function* scalarFields(layout: StructLayout, prefix = "", base = 0): Generator<Column> {
  for (const field of layout.fields) {
    if (isPadding(field)) continue;
    const path = `${prefix}${field.name}`;
    const offset = base + field.offset;
    const kind = scalarKind(field);
    if (kind !== undefined) yield { path, kind, field, offset };
    else if (field.struct !== undefined) yield* scalarFields(field.struct, `${path}.`, offset);
  }
}

function chooseColumns(layout: StructLayout, wanted: readonly string[] | undefined): Column[] {
  const all = [...scalarFields(layout)];
  if (wanted === undefined) return all;
  return wanted.map((path) => {
    const column = all.find((candidate) => candidate.path === path);
    if (column !== undefined) return column;
    throw new BpfError({
      operation: "generate column",
      object: `${path} of ${layout.name}`,
      code: "ENOENT",
      detail: `known: ${all.map((candidate) => candidate.path).join(", ")}`,
    });
  });
}

class LoopBody {
  readonly views = new Set<string>();
  readonly bases = new Set<number>();

  element(view: string, offset: number, bytes: number): string {
    this.views.add(view);
    if (bytes > 1) this.bases.add(bytes);
    const base = bytes === 1 ? "at" : `at${bytes}`;
    const index = offset / bytes;
    return `${view}[${index === 0 ? base : `${base} + ${index}`}] as number`;
  }

  value({ kind, field, offset }: Column): string {
    if (kind === "u64" || kind === "i64") {
      // Two halves to a double: a BigInt per field would be the whole cost of the loop.
      const low = this.element("u32", offset, 4);
      const high = this.element(kind === "u64" ? "u32" : "i32", offset + 4, 4);
      const whole = `(${high}) * 4294967296 + (${low})`;
      return field.bits === undefined ? whole : `Number(${this.#wideBits(field, offset)})`;
    }
    const bytes = SCALAR_BYTES[kind];
    return bitFieldExpression(this.element(viewName(kind), offset, bytes), field, false);
  }

  #wideBits(field: FieldLayout, offset: number): string {
    const view = field.kind;
    this.views.add(view);
    this.bases.add(8);
    return bitFieldExpression(`${view}[at8 + ${offset / 8}] as bigint`, field, true);
  }
}

/** The names of the columns of a struct and the loop that fills them. */
export function printColumns(struct: NamedStruct, wanted: readonly string[] | undefined): string {
  const { name, layout } = struct;
  const columns = chooseColumns(layout, wanted);
  if (columns.length === 0) return "";
  const body = new LoopBody();
  const table = `${name.slice(0, 1).toLowerCase()}${name.slice(1)}Columns`;
  const stores = columns.map(
    (column, at) => `    out[${at === 0 ? "row" : `row + ${at}`}] = ${body.value(column)};\n`,
  );
  const names = columns.map(
    ({ path }, at) => `  ${camelCase(path.replaceAll(".", "_"))}: ${at},\n`,
  );
  const bases = [...body.bases]
    .sort((a, b) => a - b)
    .map((bytes) => `    const at${bytes} = at >> ${Math.log2(bytes)};\n`);
  return [
    "/** Where in a row each field lies. */\n" +
      `export const ${table} = {\n${names.join("")}} as const;\n`,
    `/** Numbers per row of decode${name}Columns. */\n` +
      `export const ${table.replace(/Columns$/, "ColumnCount")} = ${columns.length};\n`,
    "/** Writes one row of numbers per record to `out`; 64-bit ones are exact up to 2 ** 53. */\n" +
      `export function decode${name}Columns(\n  views: RecordViews,\n  offsets: Int32Array,\n` +
      "  count: number,\n  out: Float64Array,\n): void {\n" +
      `  const { ${[...body.views].sort().join(", ")} } = views;\n` +
      `  for (let i = 0, row = 0; i < count; i++, row += ${columns.length}) {\n` +
      `    const at = offsets[i] as number;\n${bases.join("")}${stores.join("")}  }\n}\n`,
  ].join("\n");
}
