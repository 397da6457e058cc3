import { graph, UNIT } from "../panels.ts";
import { delayedConnects, NO_PORT, perMinute, perSecond, quantile } from "../queries.ts";
import type { Row } from "./row.ts";

const EVENTS = "tuplewatch_connect_events_total";
const DURATION = "tuplewatch_connect_duration_seconds";
const EXHAUSTED = "TuplewatchLocalPortExhaustion";

export const row: Row = {
  name: "connect",
  title: "connect: every connect() of TCP and UDP",
  panels: [
    graph({
      title: "Attempts",
      description: "With --connect-events failed or none, only those that became events.",
      unit: UNIT.perSecond,
      perRow: 4,
      queries: [
        {
          expr: perSecond(`${DURATION}_count`, { by: "protocol, outcome" }),
          legend: "{{protocol}} {{outcome}}",
        },
      ],
    }),
    graph({
      title: "Failures by errno",
      description: "EADDRNOTAVAIL (TCP) and EAGAIN (UDP) mean that no local port was free.",
      unit: UNIT.perSecond,
      runbook: EXHAUSTED,
      perRow: 4,
      queries: [
        {
          expr: perSecond(EVENTS, { by: "protocol, result", matchers: 'result!="ok"' }),
          legend: "{{protocol}} {{result}}",
        },
      ],
    }),
    graph({
      title: "Without a local port",
      description: "Attempts that found no free local port, by how the port was asked for.",
      unit: UNIT.perSecond,
      runbook: EXHAUSTED,
      perRow: 4,
      queries: [
        {
          expr: perSecond(EVENTS, { by: "technique", matchers: NO_PORT }),
          legend: "{{technique}}",
        },
      ],
    }),
    graph({
      title: "Techniques",
      description:
        "How the local port came about. `bind_before_connect` locks a port for each connection, " +
        "whatever its destination.",
      unit: UNIT.perSecond,
      runbook: "TuplewatchPortLockedByBind",
      perRow: 4,
      queries: [{ expr: perSecond(EVENTS, { by: "technique" }), legend: "{{technique}}" }],
    }),
    graph({
      title: "Duration of TCP connects",
      description: "Of those that succeeded; 0 without any.",
      unit: UNIT.seconds,
      perRow: 4,
      queries: [0.5, 0.9, 0.99].map((rank) => ({
        expr: quantile(rank, DURATION, 'protocol="tcp",outcome="ok"'),
        legend: `${rank * 100} %`,
      })),
    }),
    graph({
      title: "Delayed connects",
      description:
        "TCP connects that succeeded after more than 0.5 s: mostly a SYN or its answer was lost.",
      unit: UNIT.perMinute,
      runbook: "TuplewatchInsertFailuresRate",
      perRow: 4,
      queries: [{ expr: delayedConnects("60 * rate(%[$__rate_interval])"), legend: "delayed" }],
    }),
    graph({
      title: "SYN retransmits",
      description: "SYNs that had to be sent again.",
      unit: UNIT.perMinute,
      runbook: "TuplewatchInsertFailuresRate",
      perRow: 4,
      queries: [
        { expr: perMinute("tuplewatch_connect_syn_retransmits_total"), legend: "retransmits" },
      ],
    }),
    graph({
      title: "UDP conflicts",
      description: "UDP sockets that connected to a 4-tuple which another socket had.",
      unit: UNIT.perMinute,
      runbook: "TuplewatchUdpOvershadowing",
      perRow: 4,
      queries: [{ expr: perMinute("tuplewatch_connect_conflicts_total"), legend: "conflicts" }],
    }),
  ],
};
