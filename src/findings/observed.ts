import type { ChallengeAckBody, ChallengeOutcomeBody } from "../probes/challenge_ack.schema.ts";
import type { ConnectBody } from "../probes/connect.schema.ts";
import type {
  ConntrackEntry,
  ConntrackInsertFailedBody,
  FlowRetryBody,
  StaleFlowReuseBody,
} from "../probes/conntrack.schema.ts";
import type { Endpoint, NetnsName, Owner, ProcessName, Tuple } from "../probes/fields.schema.ts";

/** The parts of events that findings look at, as the events have them in JSON. */
export type { Endpoint, NetnsName, Owner, ProcessName, Tuple };

/** An event with its number in the journal. */
export interface ObservedEvent extends Owner {
  readonly seq: number;
  /** RFC 3339 with nanoseconds. */
  readonly time: string;
  readonly type: string;
  /** How the process was found; `none` if it was not. */
  readonly attribution?: string;
  /** Fields that the backend concluded rather than read. */
  readonly inferred?: readonly string[];
}

export interface ConnectObserved extends ObservedEvent, ConnectBody {}

export interface ChallengeAckObserved extends ObservedEvent, ChallengeAckBody {}

export interface ChallengeOutcomeObserved extends ObservedEvent, ChallengeOutcomeBody {}

export type Entry = ConntrackEntry;

export interface InsertFailedObserved extends ObservedEvent, ConntrackInsertFailedBody {}

export interface FlowRetryObserved extends ObservedEvent, FlowRetryBody {}

export interface StaleFlowObserved extends ObservedEvent, StaleFlowReuseBody {}

interface Types {
  connect: ConnectObserved;
  challenge_ack: ChallengeAckObserved;
  challenge_outcome: ChallengeOutcomeObserved;
  conntrack_insert_failed: InsertFailedObserved;
  flow_retry: FlowRetryObserved;
  stale_flow_reuse: StaleFlowObserved;
}

export function isType<T extends keyof Types>(event: ObservedEvent, type: T): event is Types[T] {
  return event.type === type;
}

/** Milliseconds since 1970. */
export function timeMs(event: ObservedEvent): number {
  return Date.parse(event.time);
}
