import { dashboard } from "./dashboard.ts";
import { challengeAck } from "./rows/challenge_ack.ts";
import { connect } from "./rows/connect.ts";
import { conntrackInsertFailed } from "./rows/conntrack_insert_failed.ts";
import { daemon } from "./rows/daemon.ts";
import { findings } from "./rows/findings.ts";
import { portsAndTables } from "./rows/ports_and_tables.ts";
import { staleFlow } from "./rows/stale_flow.ts";

export const SIGNALS_UID = "tuplewatch-signals";

/** One row for each signal, of the chosen instances. */
export const SIGNAL_ROWS = [
  findings,
  challengeAck,
  conntrackInsertFailed,
  staleFlow,
  connect,
  portsAndTables,
  daemon,
] as const;

export function signals(): object {
  const text = {
    uid: SIGNALS_UID,
    title: "tuplewatch: signals",
    description: "Each signal in detail: what was seen, and the kernel's own counts beside it.",
  };
  return dashboard(text, SIGNAL_ROWS);
}
