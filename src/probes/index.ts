import { challengeAck } from "./challenge_ack.ts";
import { connect } from "./connect.ts";
import { conntrackInsertFailed } from "./conntrack_insert_failed.ts";

/** The one list of probes. */
export const PROBES = [challengeAck, conntrackInsertFailed, connect] as const;
