import { EVENT_SCHEMAS } from "../../events/events.schema.ts";
import { portReportBody } from "../../ports/report.schema.ts";
import { FILTER_NAMES, FILTERS } from "../query/filters.ts";
import { FINDING_QUERY } from "../query/finding-query.ts";
import { PORT_PROTOCOLS } from "../query/port-query.ts";
import { endOfStream, errorAnswer, findingsBody, healthBody, readyBody } from "./answers.schema.ts";
import { Components } from "./components.ts";
import { SCHEMA_VERSION, SCHEMA_VERSION_HEADER } from "./schema-version.ts";
import { statusBody } from "./status.schema.ts";

/** Describes the interface in OpenAPI 3.1, whose schemas are JSON Schema 2020-12. */
export function openApiDocument(): object {
  const components = new Components();
  const paths = describePaths(components);
  components.add(endOfStream);
  return {
    openapi: "3.1.0",
    jsonSchemaDialect: "https://json-schema.org/draft/2020-12/schema",
    info: {
      title: "tuplewatch",
      summary: "Why connections failed because of a tuple collision or a missing local port",
      description: COMPATIBILITY,
      version: SCHEMA_VERSION,
      license: { name: "MIT", identifier: "MIT" },
    },
    paths,
    // Both are optional: whether there is any depends on the settings.
    security: [{}, { basic: [] }, { bearer: [] }],
    components: {
      schemas: components.toJson(),
      securitySchemes: {
        basic: { type: "http", scheme: "basic" },
        bearer: { type: "http", scheme: "bearer" },
      },
    },
  };
}

const COMPATIBILITY =
  "`version` is MAJOR.MINOR. A greater minor may bring new event types, optional fields, values of " +
  "enumerations, paths and query keys: ignore what you do not know. Only a greater major removes " +
  "or renames, makes an optional value of what always was there, or changes a type, a unit or a " +
  "meaning. Descriptions, and the texts of findings and errors, may change at any time.";

function describePaths(components: Components): object {
  const error = (description: string) => json(description, components.add(errorAnswer));
  const read = (summary: string, responses: object, parameters: readonly object[] = []) => ({
    get: {
      summary,
      ...(parameters.length > 0 && { parameters }),
      responses: { ...responses, default: error("Another error.") },
    },
  });
  const invalid = { 400: error("The query is wrong; the message says where.") };
  return {
    "/events": read(
      "The stream of events",
      {
        200: stream(components),
        ...invalid,
        503: error("All streams are in use, by clients with no more than this one, or stopping."),
      },
      EVENT_PARAMETERS,
    ),
    "/findings": read(
      "Diagnoses, newest first",
      { 200: json("Findings.", components.add(findingsBody)), ...invalid },
      Object.entries(FINDING_QUERY).map(([name, values]) =>
        listParameter(name, FINDING_HELP[name as keyof typeof FINDING_QUERY], { enum: values }),
      ),
    ),
    "/ports": read(
      "Who holds local ports",
      {
        200: json("Local ports by network namespace.", components.add(portReportBody)),
        ...invalid,
        503: error("The report is being made for others."),
      },
      PORT_PARAMETERS,
    ),
    "/status": read("Probes, losses, local ports and versions", {
      200: json("State of the daemon.", components.add(statusBody)),
    }),
    "/metrics": read("Metrics in Prometheus' text format", {
      200: { description: "Metrics.", content: { "text/plain": { schema: { type: "string" } } } },
    }),
    "/healthz": read("Liveness", { 200: json("Alive.", components.add(healthBody)) }),
    "/readyz": read("Readiness", {
      200: json("Ready.", components.add(readyBody)),
      503: json("Not ready, and why.", components.add(readyBody)),
    }),
    "/openapi.json": read("This document", {
      200: json("An OpenAPI document.", { type: "object" }),
    }),
  };
}

function json(description: string, schema: object): object {
  return { description, content: { "application/json": { schema } } };
}

const STREAM =
  "One event per line (NDJSON), an empty line as a sign of life; or server-sent events, with `id` " +
  "(the seq), `event` (the type) and `data` (the same JSON), a comment as a sign of life, and an " +
  "event `end` (`EndOfStream`) before the daemon hangs up.";

function stream(components: Components): object {
  const events = Object.entries(EVENT_SCHEMAS).map(([type, schema]) => {
    const { $ref } = components.add(schema) as { $ref: string };
    return { type, $ref };
  });
  const event = components.add({
    title: "Event",
    oneOf: events.map(({ $ref }) => ({ $ref })),
    discriminator: {
      propertyName: "type",
      mapping: Object.fromEntries(events.map(({ type, $ref }) => [type, $ref])),
    },
  });
  return {
    description: STREAM,
    headers: {
      [SCHEMA_VERSION_HEADER]: {
        description: "Version of the events, as in `info.version`.",
        schema: { type: "string" },
      },
    },
    content: {
      "application/x-ndjson": { schema: event },
      "text/event-stream": { schema: { type: "string" } },
    },
  };
}

const EVENT_PARAMETERS = [
  parameter("since", "Replay what the journal still has after this `seq`; 0 for all of it.", {
    type: "integer",
    minimum: 0,
  }),
  parameter("follow", "Whether to go on after the replay.", { type: "boolean", default: true }),
  parameter("limit", "End after this many events.", { type: "integer", minimum: 1 }),
  {
    name: "Last-Event-ID",
    in: "header",
    description: "As `since`, which it wins over: sent by clients of server-sent events.",
    schema: { type: "integer", minimum: 0 },
  },
  ...FILTER_NAMES.map((name) =>
    listParameter(name, `Only events with this ${name}: ${FILTERS[name].expected}.`, {}),
  ),
];

const FINDING_HELP = {
  kind: "Only these kinds.",
  severity: "Only findings as severe.",
  state: "By default active ones and those that were closed within the last hour.",
} as const;

const PORT_PARAMETERS = [
  parameter(
    "netns",
    "Only this network namespace: cookie or name; or those that have had this inode number.",
    {
      type: "string",
      minLength: 1,
      maxLength: 255,
    },
  ),
  parameter("protocol", "Only ports of this protocol.", {
    type: "string",
    enum: [...PORT_PROTOCOLS],
  }),
];

function parameter(name: string, description: string, schema: object): object {
  return { name, in: "query", description, schema };
}

/** The same key again is "or". */
function listParameter(name: string, description: string, item: object): object {
  const schema = { type: "array", items: { type: "string", ...item } };
  return { ...parameter(name, description, schema), style: "form", explode: true };
}
