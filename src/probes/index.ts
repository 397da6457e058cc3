// The one list of probes, a line each; their order is that of PROBE_NAMES in src/config/options.ts.
export { challengeAck } from "./challenge_ack.ts";
export { connect } from "./connect.ts";
export { conntrackInsertFailed } from "./conntrack_insert_failed.ts";
export { portBind } from "./port_bind.ts";
export { staleFlow } from "./stale_flow.ts";
