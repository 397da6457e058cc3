import type { PROBE_EVENT_BODIES } from "./bodies.gen.ts";
import type { ProbeEventType } from "./event-types.ts";
import type { RECORDS } from "./events.gen.ts";
import type { Shape } from "./fields.schema.ts";

/** A record of the type, decoded. */
export type DecodedEvent<T extends ProbeEventType> = ReturnType<(typeof RECORDS)[T]["decode"]>;

/** What an event of the type has beside its head, JSON-ready. */
export type EventBody<T extends ProbeEventType> = Shape<(typeof PROBE_EVENT_BODIES)[T]>;
