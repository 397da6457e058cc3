import { type TObject, Type } from "typebox";
import { BACKEND_NAMES, PROBE_NAMES } from "../config/options.ts";
import { PROBE_EVENT_BODIES } from "./bodies.gen.ts";
import { attributionNames, inferredNames } from "./events.gen.ts";
import {
  cgroup,
  count,
  netns,
  oneOf,
  oneOfNames,
  process,
  rfc3339,
  type Shape,
} from "./fields.schema.ts";
import { finding } from "./finding.schema.ts";

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
  attribution: oneOfNames(
    attributionNames,
    "How the process was found: `current` made the call, `socket` owns the socket, `flow_owner` " +
      "opened the flow (known only if its first packet was sent while the daemon ran).",
  ),
  process: Type.Optional(process),
  cgroup: Type.Optional(cgroup),
  inferred: Type.Optional(
    Type.Array(oneOfNames(inferredNames, "Name of a field."), {
      description:
        "Fields that the backend concluded rather than read; absent if none. With `duration_ns` " +
        "the attempt was found when its socket was closed, and was shorter.",
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
    missed: Type.Optional(count("How many; absent where nobody can know (`restart`, `detached`).")),
    where: oneOf(
      ["detached", "journal", "kernel_ring", "rate_limit", "restart", "slow_client"],
      "Before they had a number: `kernel_ring`, it or a map was full (to a reader that was late: " +
        "whatever the reason in the kernel); `rate_limit`, above `--max-events-per-second`; " +
        "`detached`, another process took the probe out of the kernel. Afterwards: `journal`, no " +
        "longer kept; `slow_client`, not read in time; `restart`, the daemon began anew, so " +
        "that the reader's seq means nothing, or its serving process did, so that findings which " +
        "were open are forgotten.",
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
  const { description = "" } = body as TObject & { description?: string };
  return Type.Object(
    { seq, ...head.properties, type: Type.Literal(type), ...body.properties },
    { title: `${pascalCase(type)}Event`, description },
  );
}

function pascalCase(name: string): string {
  return name.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

export type EventHeadJson = Shape<typeof head>;
export type GapEvent = Shape<typeof gap>;
export type FindingEvent = Shape<typeof findingEvent>;
