import type { Endpoint, NetnsName, Owner } from "./observed.ts";

/** The one list of kinds: of files in this folder, metrics, and rows of the README. */
export const FINDING_KINDS = [
  "four_tuple_collision",
  "nat_insert_race",
  "nat_ports_exhausted",
  "local_port_exhaustion",
  "port_locked_by_bind",
  "udp_overshadowing",
  "stale_conntrack_reuse",
  "conntrack_table_full",
] as const;
export type FindingKind = (typeof FINDING_KINDS)[number];

/** Worst first. */
export const SEVERITIES = ["critical", "warning", "info"] as const;
export type Severity = (typeof SEVERITIES)[number];

export const FINDING_STATES = ["active", "closed"] as const;
export type FindingState = (typeof FINDING_STATES)[number];

/** One side of an incident. */
export interface Party extends Owner {
  /** What it did, for example `refused` or `holder`. */
  readonly role: string;
  readonly socket_cookie?: string;
  readonly local?: Partial<Endpoint>;
  readonly peer?: Endpoint;
  /** Local ports that it holds. */
  readonly ports?: number;
}

export interface Remedy {
  readonly summary: string;
  /** To be typed as they are, but for words in <angle brackets>. */
  readonly commands: readonly string[];
}

export interface Reference {
  readonly title: string;
  readonly url: string;
}

export interface Confidence {
  readonly level: "high" | "medium" | "low";
  /** What it rests on, and what keeps it from being higher. */
  readonly rests_on: string;
}

/** What a kind makes of all that was observed. */
export interface Diagnosis {
  readonly severity: Severity;
  readonly summary: string;
  readonly explanation: string;
  readonly remedies: readonly Remedy[];
  readonly references: readonly Reference[];
  readonly confidence: Confidence;
}

/** Numbers by name. Of names that end in `_max` the greatest is kept, others are added up. */
export type Consequence = Readonly<Record<string, number>>;

/** What was observed of one finding so far. */
export interface Observed {
  readonly count: number;
  /** RFC 3339. */
  readonly firstSeen: string;
  readonly lastSeen: string;
  readonly netns: NetnsName | undefined;
  readonly parties: readonly Party[];
  readonly consequence: Consequence;
}

/** What an event adds to a finding, or opens one with. */
export interface Observation {
  readonly kind: FindingKind;
  /** Kind and parties: observations of one key are one finding. */
  readonly key: string;
  /** False: it is of interest only if the finding is open. */
  readonly opens: boolean;
  /** Incidents that it stands for. */
  readonly count: number;
  readonly time: string;
  readonly netns: NetnsName | undefined;
  /** Seqs of the events it rests on. */
  readonly evidence: readonly number[];
  readonly parties: readonly Party[];
  readonly tuples: readonly object[];
  readonly consequence: Consequence;
  /** Numbers that replace what they were. */
  readonly levels?: Consequence;
  /** Absent: as before. */
  readonly describe?: (observed: Observed) => Diagnosis;
  /** A finding that this one shows to have been something else. */
  readonly replaces?: { readonly kind: FindingKind; readonly key: string };
}

/** A finding as /findings, the stream and nobody else see it. */
export interface FindingJson extends Diagnosis {
  readonly id: string;
  readonly kind: FindingKind;
  readonly state: FindingState;
  readonly netns?: NetnsName;
  readonly first_seen: string;
  readonly last_seen: string;
  readonly closed_at?: string;
  readonly close_reason?: CloseReason;
  /** Id of the finding that took its place. */
  readonly replaced_by?: string;
  readonly count: number;
  readonly parties: readonly Party[];
  readonly tuples: readonly object[];
  readonly consequence: Consequence;
  /** Seqs of the first and last events, ascending. */
  readonly evidence: readonly number[];
  readonly evidence_count: number;
}

/** `evicted`: to make room for newer ones. */
export type CloseReason = "quiet" | "replaced" | "evicted";
