/** The one list of kinds: of files in src/findings/, metrics and pages of docs/. */
export const FINDING_KINDS = [
  "four_tuple_collision",
  "nat_insert_race",
  "nat_ports_exhausted",
  "local_port_exhaustion",
  "port_locked_by_bind",
  "port_held_by_connection",
  "source_tuple_taken",
  "local_ports_low",
  "udp_overshadowing",
  "self_connect",
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
