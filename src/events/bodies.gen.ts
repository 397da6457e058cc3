// Generated from bpf/include/events.h: do not edit.

import { challengeAckBody } from "./challenge_ack.schema.ts";
import { challengeOutcomeBody } from "./challenge_outcome.schema.ts";
import { connectBody } from "./connect.schema.ts";
import { conntrackInsertFailedBody } from "./conntrack_insert_failed.schema.ts";
import { flowRetryBody } from "./flow_retry.schema.ts";
import { portBindBody } from "./port_bind.schema.ts";
import { staleFlowReuseBody } from "./stale_flow_reuse.schema.ts";

/** What each type of event that probes make has beside its head. */
export const PROBE_EVENT_BODIES = {
  connect: connectBody,
  challenge_ack: challengeAckBody,
  challenge_outcome: challengeOutcomeBody,
  conntrack_insert_failed: conntrackInsertFailedBody,
  flow_retry: flowRetryBody,
  stale_flow_reuse: staleFlowReuseBody,
  port_bind: portBindBody,
} as const;
