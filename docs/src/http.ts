import { openApiDocument } from "../../src/http/openapi/openapi.ts";
import { code, codes, phrase, table } from "./markdown.ts";
import { ANSWER_OBJECTS, objectSections, type Schema, typeText } from "./objects.ts";

const PAGE = "http";

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly description: string;
  readonly schema: Schema;
}

interface Answer {
  readonly description: string;
  readonly content: Readonly<Record<string, { readonly schema: Schema }>>;
}

interface Operation {
  readonly summary: string;
  readonly parameters?: readonly Parameter[];
  readonly responses: Readonly<Record<string, Answer>>;
}

interface Document {
  readonly paths: Readonly<Record<string, { readonly get: Operation }>>;
}

/** A section for each path. */
export function pathSections(): string {
  const { paths } = openApiDocument() as Document;
  return Object.entries(paths)
    .map(([path, { get }]) => {
      const query = get.parameters === undefined ? "" : `${parameterTable(get.parameters)}\n`;
      return `### ${code(path)}\n\n${get.summary}.\n\n${query}${answerTable(get.responses)}`;
    })
    .join("\n");
}

function parameterTable(parameters: readonly Parameter[]): string {
  const rows = parameters.map(({ name, in: place, schema, description }) => {
    const header = place === "header" ? " (header)" : "";
    return [`${code(name)}${header}`, parameterType(schema), phrase(description)];
  });
  return table(["query", "value", "meaning"], rows);
}

/** A list is written as the same key again. */
function parameterType({ type, items, ...schema }: Schema): string {
  if (items !== undefined) return items.enum === undefined ? "text" : codes(items.enum);
  if (schema.enum !== undefined) return codes(schema.enum);
  const standard = schema.default === undefined ? "" : ` (${String(schema.default)})`;
  return `${type === "string" ? "text" : type}${standard}`;
}

function answerTable(responses: Readonly<Record<string, Answer>>): string {
  const rows = Object.entries(responses).map(([status, { description, content }]) => {
    const bodies = Object.entries(content).map(([mime, { schema }]) => {
      const isNamed = schema.$ref !== undefined;
      return isNamed ? `${typeText(PAGE, schema)} (${code(mime)})` : code(mime);
    });
    return [status === "default" ? "other" : status, bodies.join(", "), phrase(description)];
  });
  return table(["status", "body", "meaning"], rows);
}

export function answerObjects(): string {
  return objectSections(PAGE, ANSWER_OBJECTS);
}
