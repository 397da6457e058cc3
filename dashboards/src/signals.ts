import { PROBE_NAMES } from "../../src/config/options.ts";
import { dashboard } from "./dashboard.ts";
import { daemon } from "./rows/daemon.ts";
import { findings } from "./rows/findings.ts";
import { portsAndTables } from "./rows/ports_and_tables.ts";
import type { Row } from "./rows/row.ts";

/** A probe's row is in the file that has its name. */
async function rowOf(probe: string): Promise<Row> {
  const { row } = (await import(`./rows/${probe}.js`)) as { readonly row: Row };
  return row;
}

export const SIGNALS_UID = "tuplewatch-signals";

/** One row for each signal, of the chosen instances. */
export const SIGNAL_ROWS: readonly Row[] = [
  findings,
  ...(await Promise.all(PROBE_NAMES.map(rowOf))),
  portsAndTables,
  daemon,
];

export function signals(): object {
  const text = {
    uid: SIGNALS_UID,
    title: "tuplewatch: signals",
    description: "Each signal in detail: what was seen, and the kernel's own counts beside it.",
  };
  return dashboard(text, SIGNAL_ROWS);
}
