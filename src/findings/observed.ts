import type { EventBody } from "../events/body.ts";
import type { ConntrackEntry } from "../events/conntrack.schema.ts";
import type { ProbeEventType } from "../events/event-types.ts";
import type { Endpoint, NetnsName, Owner, ProcessName, Tuple } from "../events/fields.schema.ts";

/** The parts of events that findings look at, as the events have them in JSON. */
export type { Endpoint, NetnsName, Owner, ProcessName, Tuple };

/** An event with its number in the journal. */
export interface ObservedEvent extends Owner {
  readonly seq: number;
  /** When it happened, since the machine booted: the wall clock may be set meanwhile. */
  readonly atMs: number;
  /** RFC 3339 with nanoseconds. */
  readonly time: string;
  readonly type: string;
  /** How the process was found; `none` if it was not. */
  readonly attribution?: string;
  /** Fields that the backend concluded rather than read. */
  readonly inferred?: readonly string[];
}

/** An event of a probe, with its body. */
export type Observed<T extends ProbeEventType> = ObservedEvent & EventBody<T>;

export type ConnectObserved = Observed<"connect">;
export type PortBindObserved = Observed<"port_bind">;
export type ChallengeAckObserved = Observed<"challenge_ack">;
export type ChallengeOutcomeObserved = Observed<"challenge_outcome">;
export type InsertFailedObserved = Observed<"conntrack_insert_failed">;
export type FlowRetryObserved = Observed<"flow_retry">;
export type StaleFlowObserved = Observed<"stale_flow_reuse">;
export type Entry = ConntrackEntry;

export function isType<T extends ProbeEventType>(
  event: ObservedEvent,
  type: T,
): event is Observed<T> {
  return event.type === type;
}

/** Milliseconds since the machine booted. */
export function timeMs(event: ObservedEvent): number {
  return event.atMs;
}
