import { PROBE_EVENT_BODIES } from "../../src/events/bodies.gen.ts";
import { EVENT_SCHEMAS } from "../../src/events/events.schema.ts";
import { PROBES } from "../../src/probes/probes.ts";
import { code } from "./markdown.ts";
import { EVENT_OBJECTS, fieldTable, objectSections, type Schema } from "./objects.ts";

const PAGE = "events";

const BODIES = PROBE_EVENT_BODIES as unknown as Readonly<Record<string, Schema>>;

const TYPE: Schema = { type: "string", description: "What it is: the name of a section below." };

/** Those that all events of probes have. */
export function headTable(): string {
  const [type = "", body = {}] = Object.entries(BODIES)[0] ?? [];
  const { properties = {}, required = [] } = EVENT_SCHEMAS[type] as Schema;
  const shared = Object.entries(properties).filter(([name]) => !(name in (body.properties ?? {})));
  return fieldTable(PAGE, { properties: { ...Object.fromEntries(shared), type: TYPE }, required });
}

/** A section for each type of event that probes make, in the order of the probes. */
export function eventSections(): string {
  return PROBES.flatMap(({ name, recordTypes }) =>
    recordTypes.map(({ eventType }) => {
      const { description = "", ...body } = BODIES[eventType] ?? {};
      const of = eventType === name ? "" : ` By the probe ${code(name)}.`;
      return `### ${code(eventType)}\n\n${description}${of}\n\n${fieldTable(PAGE, body)}`;
    }),
  ).join("\n");
}

export function gapTable(): string {
  return fieldTable(PAGE, EVENT_SCHEMAS.gap as Schema);
}

export function eventObjects(): string {
  return objectSections(PAGE, EVENT_OBJECTS);
}
