/** Those of the stream. EventSource tells nothing of a type that it was not asked for. */
export declare const EVENT_TYPES: readonly [
  "connect",
  "challenge_ack",
  "challenge_outcome",
  "conntrack_insert_failed",
  "flow_retry",
  "stale_flow_reuse",
  "finding",
  "gap",
];
