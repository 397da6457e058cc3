import { challengeAck } from "./challenge_ack.ts";
import { connect } from "./connect.ts";
import { conntrackInsertFailed } from "./conntrack_insert_failed.ts";
import { staleFlow } from "./stale_flow.ts";

/** The one list of probes. */
export const PROBES = [challengeAck, conntrackInsertFailed, connect, staleFlow] as const;
