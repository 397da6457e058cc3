/** The parts of events that findings look at, as the events have them in JSON. */

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export interface Tuple {
  readonly src: Endpoint;
  readonly dst: Endpoint;
}

export interface NetnsName {
  readonly cookie?: string;
  readonly inum?: number;
  readonly name?: string;
}

export interface ProcessName {
  readonly pid?: number;
  readonly comm?: string;
  readonly uid?: number;
}

/** Who opened a flow: a process, perhaps of another network namespace. */
export interface Owner {
  readonly process?: ProcessName;
  readonly cgroup?: object;
  readonly netns?: NetnsName;
}

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

export interface ConnectObserved extends ObservedEvent {
  readonly socket_cookie?: string;
  readonly protocol: string;
  readonly family: string;
  readonly local?: Partial<Endpoint>;
  readonly peer: Endpoint;
  readonly result: string;
  readonly duration_ns: number;
  readonly syn_retransmits: number;
  readonly technique: string;
  readonly conflict?: {
    readonly socket_cookie: string;
    readonly local: Endpoint;
    readonly process?: ProcessName;
  };
}

interface ChallengedObserved extends ObservedEvent {
  readonly socket_cookie?: string;
  readonly local: Endpoint;
  readonly peer: Endpoint;
}

export interface ChallengeAckObserved extends ChallengedObserved {
  readonly tcp_state: string;
  readonly trigger: string;
  /** Absent where the backend cannot know. */
  readonly sent?: boolean;
  /** How long the connection had received nothing; not every backend knows. */
  readonly idle_ns?: number;
}

export interface ChallengeOutcomeObserved extends ChallengedObserved {
  readonly outcome: string;
  readonly delay_ns: number;
  readonly challenges: number;
}

/** A conntrack entry, and who opened its flow if that is known. */
export interface Entry {
  readonly original: Tuple;
  readonly reply: Tuple;
  readonly owner?: Owner;
}

export interface InsertFailedObserved extends ObservedEvent, Entry {
  readonly protocol: string;
  readonly nat: string;
  readonly verdict: string;
  readonly cause: string;
  readonly winner?: Entry;
  /** How often this flow was refused so far; not every backend knows. */
  readonly refusals?: number;
}

export interface FlowRetryObserved extends ObservedEvent {
  readonly protocol: string;
  readonly original: Tuple;
  readonly delay_ns: number;
}

export interface StaleFlowObserved extends ObservedEvent, Entry {
  readonly socket_cookie?: string;
  readonly protocol: string;
  readonly nat: string;
  readonly age_ns: number;
  readonly old_owner?: Owner & { readonly socket_cookie?: string };
  /** Whether the packet goes elsewhere than the new socket's process meant. */
  readonly redirected?: boolean;
  readonly actual_destination?: Endpoint;
}

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
