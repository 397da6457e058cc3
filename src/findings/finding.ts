import type { NetnsName } from "../probes/fields.schema.ts";
import type { Consequence, Diagnosis, FindingTuple, Party } from "./finding.schema.ts";

export type {
  Consequence,
  Diagnosis,
  FindingJson,
  FindingTuple,
  Party,
} from "./finding.schema.ts";

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

export const FINDING_STATES = ["active", "closed"] as const;
export type FindingState = (typeof FINDING_STATES)[number];

/** `evicted`: to make room for newer ones. */
export const CLOSE_REASONS = ["quiet", "replaced", "evicted"] as const;
export type CloseReason = (typeof CLOSE_REASONS)[number];

export const CONFIDENCE_LEVELS = ["high", "medium", "low"] as const;

export type Reference = Diagnosis["references"][number];
export type Remedy = Diagnosis["remedies"][number];
export type Confidence = Diagnosis["confidence"];

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
  readonly tuples: readonly FindingTuple[];
  readonly consequence: Consequence;
  /** Numbers that replace what they were. */
  readonly levels?: Consequence;
  /** Absent: as before. */
  readonly describe?: (observed: Observed) => Diagnosis;
  /** A finding that this one shows to have been something else. */
  readonly replaces?: { readonly kind: FindingKind; readonly key: string };
}
