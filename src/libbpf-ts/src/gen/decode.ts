import type { FieldLayout, ScalarKind } from "../btf/layout.ts";
import { camelCase, isPadding } from "./names.ts";
import { LINE_WIDTH } from "./print.ts";
import { type NamedStruct, SCALAR_BYTES, type StructSet, scalarKind } from "./structs.ts";

const ARRAY_TYPES: Readonly<Record<ScalarKind, string>> = {
  bool: "Uint8Array",
  u8: "Uint8Array",
  i8: "Int8Array",
  u16: "Uint16Array",
  i16: "Int16Array",
  u32: "Uint32Array",
  i32: "Int32Array",
  u64: "BigUint64Array",
  i64: "BigInt64Array",
  f32: "Float32Array",
  f64: "Float64Array",
};

/** The typed array of RecordViews that holds a kind. */
export function viewName(kind: ScalarKind): string {
  return kind === "bool" ? "u8" : kind;
}

function isWide(kind: ScalarKind): boolean {
  return kind === "u64" || kind === "i64";
}

function scalarType(kind: ScalarKind): string {
  if (kind === "bool") return "boolean";
  return isWide(kind) ? "bigint" : "number";
}

function fieldType(field: FieldLayout, structs: StructSet): string {
  const scalar = scalarKind(field);
  if (scalar !== undefined) return scalarType(scalar);
  if (field.kind === "string") return "string";
  if (field.struct !== undefined) return structs.nameOf(field.struct);
  const element = field.element;
  if (element?.struct !== undefined) return `readonly ${structs.nameOf(element.struct)}[]`;
  const kind = element === undefined ? undefined : scalarKind(element);
  return kind === undefined ? "Uint8Array" : ARRAY_TYPES[kind];
}

/** Cuts a bit field out of the expression for its integer. */
export function bitFieldExpression(word: string, field: FieldLayout, wide: boolean): string {
  const { bits } = field;
  if (bits === undefined) return word;
  const signed = field.kind.startsWith("i");
  const shift = bits.offset === 0 ? "" : String(bits.offset);
  if (wide) {
    const cut = signed ? "BigInt.asIntN" : "BigInt.asUintN";
    return `${cut}(${bits.size}, ${shift === "" ? word : `(${word}) >> ${shift}n`})`;
  }
  if (signed) return `((${word}) << ${32 - bits.offset - bits.size}) >> ${32 - bits.size}`;
  if (bits.size === 32) return word;
  const low = shift === "" ? `(${word})` : `((${word}) >>> ${shift})`;
  return `${low} & ${2 ** bits.size - 1}`;
}

function plus(offset: number): string {
  return offset === 0 ? "at" : `at + ${offset}`;
}

function index(offset: number, bytes: number): string {
  const shift = Math.log2(bytes);
  if (shift === 0) return plus(offset);
  return offset === 0 ? `at >> ${shift}` : `(at + ${offset}) >> ${shift}`;
}

function scalarExpression(field: FieldLayout, kind: ScalarKind): string {
  const element = `views.${viewName(kind)}[${index(field.offset, SCALAR_BYTES[kind])}]`;
  if (kind === "bool" && field.bits === undefined) return `${element} !== 0`;
  const word = `${element} as ${isWide(kind) ? "bigint" : "number"}`;
  const value = bitFieldExpression(word, field, isWide(kind));
  return kind === "bool" ? `(${value}) !== 0` : value;
}

function fieldExpression(field: FieldLayout, structs: StructSet): string {
  const { offset, size, element } = field;
  const scalar = scalarKind(field);
  if (scalar !== undefined) return scalarExpression(field, scalar);
  if (field.kind === "string") return `readString(views.u8, ${plus(offset)}, ${size})`;
  if (field.struct !== undefined) {
    return `decode${structs.nameOf(field.struct)}(views, ${plus(offset)})`;
  }
  if (element?.struct !== undefined) {
    const at = `${plus(offset)} + i * ${element.size}`;
    const decode = `decode${structs.nameOf(element.struct)}(views, ${at})`;
    return `Array.from({ length: ${field.count ?? 0} }, (_, i) => ${decode})`;
  }
  const kind = (element === undefined ? undefined : scalarKind(element)) ?? "u8";
  const bytes = SCALAR_BYTES[kind];
  return `views.${viewName(kind)}.slice(${index(offset, bytes)}, ${index(offset + size, bytes)})`;
}

function printSignature(name: string): string {
  const parameters = ["views: RecordViews", "at: number"];
  const line = `export function decode${name}(${parameters.join(", ")}): ${name} {`;
  if (line.length <= LINE_WIDTH) return line;
  return `export function decode${name}(\n  ${parameters.join(",\n  ")},\n): ${name} {`;
}

/** The interface of a struct and the function that makes an object of it. */
export function printStruct({ name, layout }: NamedStruct, structs: StructSet): string {
  const fields = layout.fields.filter((field) => !isPadding(field));
  const types = fields.map(
    (field) => `  readonly ${camelCase(field.name)}: ${fieldType(field, structs)};\n`,
  );
  const values = fields.map(
    (field) => `    ${camelCase(field.name)}: ${fieldExpression(field, structs)},\n`,
  );
  return [
    `export interface ${name} {\n${types.join("")}}\n`,
    `${printSignature(name)}\n  return {\n${values.join("")}  };\n}\n`,
  ].join("\n");
}
