import { PROBE_EVENT_TYPES } from "./event-types.gen.ts";

/** Types of everything on the stream. */
export const EVENT_TYPES = [...PROBE_EVENT_TYPES, "finding", "gap"] as const;

export type ProbeEventType = (typeof PROBE_EVENT_TYPES)[number];
export type EventType = (typeof EVENT_TYPES)[number];
