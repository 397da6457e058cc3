// Generated from bpf/include/events.h: do not edit.

/** Types of the events that probes make. */
export const PROBE_EVENT_TYPES = [
  "connect",
  "challenge_ack",
  "challenge_outcome",
  "conntrack_insert_failed",
  "flow_retry",
  "stale_flow_reuse",
  "port_bind",
] as const;
