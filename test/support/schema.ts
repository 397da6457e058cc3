import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { EVENT_SCHEMAS } from "../../src/events/events.schema.ts";
import { errorAnswer, findingsBody, readyBody } from "../../src/http/openapi/answers.schema.ts";
import { statusBody } from "../../src/http/openapi/status.schema.ts";
import { portReportBody } from "../../src/ports/report.schema.ts";

const ANSWERS = {
  error: errorAnswer,
  "/findings": findingsBody,
  "/ports": portReportBody,
  "/readyz": readyBody,
  "/status": statusBody,
};

const ajv = new Ajv2020({ strict: true, strictRequired: false, allErrors: true });
const compiled = new Map<object, ValidateFunction>();

/** Fails unless an event is just as documented: a field that no schema has is a failure too. */
export function checkEvent(event: { readonly type: string }): void {
  const schema = EVENT_SCHEMAS[event.type];
  if (schema === undefined) throw new Error(`no schema for events of type ${event.type}`);
  check(`an event of type ${event.type}`, schema, event);
}

/** The same for the body of an answer. */
export function checkAnswer(path: keyof typeof ANSWERS, body: unknown): void {
  check(`the body of ${path}`, ANSWERS[path], body);
}

function check(what: string, schema: object, value: unknown): void {
  const validate = compiled.get(schema) ?? ajv.compile(strict(schema) as object);
  compiled.set(schema, validate);
  if (validate(value)) return;
  const errors = ajv.errorsText(validate.errors, { dataVar: "" });
  const extra = validate.errors?.flatMap(({ params }) => params.additionalProperty ?? []);
  throw new Error(`${what}: ${errors} ${extra?.join(", ")} in ${JSON.stringify(value)}`);
}

/** Readers are told to ignore fields that they do not know; tests know them all. */
export function strict(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(strict);
  if (typeof schema !== "object" || schema === null) return schema;
  const parts = Object.entries(schema).map(([key, part]) => [key, strict(part)] as const);
  const closed = "properties" in schema && schema.properties !== null && "type" in schema;
  return { ...Object.fromEntries(parts), ...(closed && { additionalProperties: false }) };
}
