import { graph, UNIT } from "../panels.ts";
import { perMinute, quantile, series, sumOr0 } from "../queries.ts";
import type { Row } from "./row.ts";

const EVENTS = "tuplewatch_conntrack_insert_failed_events_total";
const DELAY = "tuplewatch_conntrack_insert_failed_delay_seconds";
const RATE = "TuplewatchInsertFailuresRate";

const refused = sumOr0(`rate(${series(EVENTS, 'verdict="dropped"')}[$__rate_interval])`);
const connects = sumOr0(
  `rate(${series("tuplewatch_events_attempted_total", 'probe="connect"')}[$__rate_interval])`,
);

export const row: Row = {
  name: "conntrack_insert_failed",
  title: "conntrack_insert_failed: packets that conntrack refused",
  panels: [
    graph({
      title: "Refused entries",
      description:
        "Packets whose conntrack entry could not be inserted. `dropped` packets are lost: TCP " +
        "tries again after 1 s, resolvers after 5 s. `resolved` costs nothing.",
      unit: UNIT.perMinute,
      runbook: RATE,
      perRow: 4,
      queries: [
        { expr: perMinute(EVENTS, { by: "verdict, cause" }), legend: "{{verdict}}: {{cause}}" },
      ],
    }),
    graph({
      title: "Share of connections that lost a packet",
      description:
        "Dropped packets of all connection attempts of the hosts' processes, containers included. " +
        "0 with less than one attempt a second, as on hosts that only forward.",
      unit: UNIT.ratio,
      runbook: "TuplewatchInsertFailuresShare",
      perRow: 4,
      levels: { critical: 0.01 },
      queries: [
        {
          expr: `(${refused}) / ((${refused}) + (${connects})) and (${connects}) > 1 or vector(0)`,
          legend: "share",
        },
      ],
    }),
    graph({
      title: "Delay until accepted",
      description: "From a flow's first refusal until conntrack accepted it; 0 without refusals.",
      unit: UNIT.seconds,
      runbook: RATE,
      perRow: 4,
      queries: [
        { expr: quantile(0.5, DELAY), legend: "median" },
        { expr: quantile(0.99, DELAY), legend: "99th percentile" },
      ],
    }),
    graph({
      title: "The kernel's own count",
      description:
        "Conntrack statistics of the daemon's network namespace, as `conntrack -S`; none while " +
        "conntrack is not loaded. insert_failed also has causes that lose no packet.",
      unit: UNIT.perMinute,
      runbook: RATE,
      perRow: 4,
      queries: [
        {
          expr: perMinute("tuplewatch_kernel_conntrack_total", {
            by: "counter",
            matchers: 'counter=~"insert_failed|drop|early_drop|clash_resolve|chain_toolong"',
          }),
          legend: "{{counter}}",
        },
      ],
    }),
  ],
};
