import { type TObject, Type } from "typebox";
import { BACKEND_NAMES, PROBE_NAMES } from "../config/options.ts";
import { finding } from "../findings/finding.schema.ts";
import { PROBE_EVENT_BODIES } from "../probes/bodies.schema.ts";
import { attributionNames, inferredNames } from "../probes/events.gen.ts";
import {
  cgroup,
  count,
  nameOf,
  netns,
  oneOf,
  process,
  rfc3339,
  type Shape,
} from "../probes/fields.schema.ts";

const seq = Type.Integer({
  minimum: 1,
  description: "Number of the event in this daemon's life, without gaps; resume with `?since=`.",
});

const time = rfc3339("When it happened.");

const probe = oneOf<string>(PROBE_NAMES, "The probe that saw it.");

const head = Type.Object({
  time,
  type: Type.String(),
  probe,
  backend: oneOf<string>(BACKEND_NAMES, "How it was seen."),
  cpu: count("Processor on which the kernel was at that moment."),
  netns,
  attribution: nameOf(
    attributionNames,
    "How the process was found: `current` made the call, `socket` owns the socket, `flow_owner` " +
      "opened the flow.",
  ),
  process: Type.Optional(process),
  cgroup: Type.Optional(cgroup),
  inferred: Type.Optional(
    Type.Array(nameOf(inferredNames, "Name of a field."), {
      description: "Fields that the backend concluded rather than read.",
    }),
  ),
});

const gap = Type.Object(
  {
    time,
    type: Type.Literal("gap"),
    probe: Type.Optional(probe),
    from_seq: Type.Optional(Type.Integer({ minimum: 1, description: "First missing seq." })),
    to_seq: Type.Optional(Type.Integer({ minimum: 1, description: "Last missing seq." })),
    missed: Type.Optional(count("How many; absent where nobody can know (`restart`).")),
    where: oneOf(
      ["journal", "kernel_ring", "restart", "slow_client"],
      "`kernel_ring`: before they had a number; `journal`: no longer kept; `slow_client`: not " +
        "read in time; `restart`: the reader's seq belongs to an earlier daemon.",
    ),
  },
  {
    title: "GapEvent",
    description: "A notice that this reader does not get some events. It has no seq of its own.",
  },
);

const findingEvent = Type.Object(
  { seq, time, type: Type.Literal("finding"), ...finding.properties },
  { title: "FindingEvent", description: "A finding opened, changed notably or closed." },
);

/** Each type of event on the stream, by its name. */
export const EVENT_SCHEMAS: Readonly<Record<string, TObject>> = {
  ...Object.fromEntries(
    Object.entries(PROBE_EVENT_BODIES).map(([type, body]) => [type, probeEvent(type, body)]),
  ),
  finding: findingEvent,
  gap,
};

function probeEvent(type: string, body: TObject): TObject {
  return Type.Object(
    { seq, ...head.properties, type: Type.Literal(type), ...body.properties },
    { title: `${pascalCase(type)}Event` },
  );
}

function pascalCase(name: string): string {
  return name.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

export type EventHeadJson = Shape<typeof head>;
export type GapEvent = Shape<typeof gap>;
export type FindingEvent = Shape<typeof findingEvent>;
