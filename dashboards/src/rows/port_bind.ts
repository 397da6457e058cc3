import { graph, UNIT } from "../panels.ts";
import { perMinute } from "../queries.ts";
import type { Row } from "./row.ts";

const EVENTS = "tuplewatch_port_bind_events_total";
const RUNBOOK = "TuplewatchLocalPortExhaustion";

export const row: Row = {
  name: "port_bind",
  title: "port_bind: calls for a local port",
  panels: [
    graph({
      title: "Calls that got no port",
      description:
        "Of bind(), listen() and first datagrams: the range had no port left, or somebody else has " +
        "the one that was asked for.",
      unit: UNIT.perMinute,
      runbook: RUNBOOK,
      perRow: 2,
      queries: [
        {
          expr: perMinute(EVENTS, { matchers: 'result=~"EADDRINUSE|EAGAIN"', by: "technique" }),
          legend: "{{technique}}",
        },
      ],
    }),
    graph({
      title: "Ports taken",
      description: "Calls that got one, by how it was asked for.",
      unit: UNIT.perMinute,
      runbook: RUNBOOK,
      perRow: 2,
      queries: [
        {
          expr: perMinute(EVENTS, { matchers: 'result="ok"', by: "technique" }),
          legend: "{{technique}}",
        },
      ],
    }),
  ],
};
