import type { TObject } from "typebox";
import { challengeAckBody, challengeOutcomeBody } from "./challenge_ack.schema.ts";
import { connectBody } from "./connect.schema.ts";
import {
  conntrackInsertFailedBody,
  flowRetryBody,
  staleFlowReuseBody,
} from "./conntrack.schema.ts";
import type { eventTypeNames } from "./events.gen.ts";

export type ProbeEventType = (typeof eventTypeNames)[keyof typeof eventTypeNames];

/** What each type of event that probes make has beside its head. */
export const PROBE_EVENT_BODIES = {
  connect: connectBody,
  challenge_ack: challengeAckBody,
  challenge_outcome: challengeOutcomeBody,
  conntrack_insert_failed: conntrackInsertFailedBody,
  flow_retry: flowRetryBody,
  stale_flow_reuse: staleFlowReuseBody,
} as const satisfies Record<ProbeEventType, TObject>;
