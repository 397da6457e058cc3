import { EVENT_SCHEMAS } from "../../src/events/events.schema.ts";
import { finding } from "../../src/events/finding.schema.ts";
import {
  endOfStream,
  errorAnswer,
  findingsBody,
  healthBody,
  readyBody,
} from "../../src/http/openapi/answers.schema.ts";
import { statusBody } from "../../src/http/openapi/status.schema.ts";
import { portReportBody } from "../../src/ports/report.schema.ts";
import { code, codes, table } from "./markdown.ts";

/** What is read of a JSON schema here. */
export interface Schema {
  readonly $ref?: string;
  readonly title?: string;
  readonly description?: string;
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly const?: string;
  readonly default?: unknown;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
}

/** Objects with a name that a schema has in it, in the order in which a reader meets them. */
function namedIn(schema: Schema): Schema[] {
  const { items, anyOf = [], properties = {}, patternProperties = {} } = schema;
  const parts = [...Object.values(properties), ...Object.values(patternProperties), ...anyOf];
  const inner = [...parts, ...(items === undefined ? [] : [items])].flatMap(namedIn);
  return schema.title === undefined ? inner : [schema, ...inner];
}

/** The name of the page by the names of the objects that it has a section for. */
const PAGES = new Map<string, string>([["Event", "events"]]);

/** Those that no earlier page has. */
function claim(page: string, schemas: readonly object[]): Schema[] {
  const found = new Map<string, Schema>();
  for (const schema of schemas.flatMap((one) => namedIn(one as Schema))) {
    const { title = "" } = schema;
    // Where it stands for a field it may be described as that field.
    if (!PAGES.has(title) && !found.has(title)) found.set(title, schema);
  }
  for (const title of found.keys()) PAGES.set(title, page);
  return [...found.values()];
}

const { finding: _, ...ownEvents } = EVENT_SCHEMAS;
const isEvent = ({ title = "" }: Schema) => /.Event$/.test(title);

export const EVENT_OBJECTS = claim("events", Object.values(ownEvents)).filter(
  (schema) => !isEvent(schema),
);
export const FINDING_OBJECTS = claim("findings", [finding]);
export const ANSWER_OBJECTS = claim("http", [
  findingsBody,
  portReportBody,
  statusBody,
  healthBody,
  readyBody,
  errorAnswer,
  endOfStream,
]);

/** A section for each object, with its fields. */
export function objectSections(page: string, schemas: readonly Schema[]): string {
  return schemas
    .map(({ title = "", description, ...schema }) => {
      const intro = description === undefined ? "" : `${description}\n\n`;
      return `### ${title}\n\n${intro}${fieldTable(page, schema)}`;
    })
    .join("\n");
}

/** The fields of an object, with those of objects in it that have no name of their own. */
export function fieldTable(page: string, schema: Schema): string {
  return table(["field", "type", "meaning"], fieldRows(page, schema, ""));
}

function fieldRows(page: string, schema: Schema, prefix: string): string[][] {
  const { properties = {}, required = [] } = schema;
  return Object.entries(properties).flatMap(([name, field]) => {
    const optional = required.includes(name) ? "" : ", optional";
    const type = `${typeText(page, field)}${optional}`;
    const row = [code(prefix + name), type, meaning(field)];
    return [row, ...fieldRows(page, unnamedIn(field), `${prefix}${name}.`)];
  });
}

/** That of a named object is in its section. */
function meaning({ title, description, anyOf = [] }: Schema): string {
  if (title !== undefined) return "";
  return description ?? anyOf.map(meaning).find((text) => text !== "") ?? "";
}

/** The object, or that of each item, unless it has a section of its own. */
function unnamedIn(field: Schema): Schema {
  const part = field.items ?? field;
  return part.title === undefined ? part : {};
}

export function typeText(page: string, schema: Schema): string {
  const { $ref, title, const: only, items, anyOf, patternProperties } = schema;
  const name = $ref?.split("/").at(-1) ?? title;
  if (name !== undefined) return objectLink(page, name);
  if (only !== undefined) return code(only);
  if (schema.enum !== undefined) return codes(schema.enum);
  if (items !== undefined) return `list of ${typeText(page, items)}`;
  if (anyOf !== undefined) {
    const [first, ...others] = [...anyOf].sort((a, b) => rank(a) - rank(b));
    return [first ?? {}, ...others].map((part) => typeText(page, part)).join(" or ");
  }
  const [value] = Object.values(patternProperties ?? {});
  if (value !== undefined) return `${typeText(page, value)} by name`;
  return schema.type ?? "any";
}

/** null comes last. */
function rank({ type }: Schema): number {
  return type === "null" ? 1 : 0;
}

function objectLink(page: string, title: string): string {
  const home = PAGES.get(title);
  if (home === undefined) throw new Error(`no page of docs/reference/ has ${title}`);
  if (title === "Event") return "[event](events.md)";
  const file = home === page ? "" : `${home}.md`;
  return `[${title}](${file}#${title.toLowerCase()})`;
}
