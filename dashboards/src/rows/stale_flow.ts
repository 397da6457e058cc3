import { graph, UNIT } from "../panels.ts";
import { perMinute } from "../queries.ts";
import type { Row } from "./row.ts";

const EVENTS = "tuplewatch_stale_flow_events_total";
const RUNBOOK = "TuplewatchStaleConntrackReuse";

export const row: Row = {
  name: "stale_flow",
  title: "stale_flow: sockets that send on a closed socket's conntrack entry",
  panels: [
    graph({
      title: "Sockets that go elsewhere",
      description:
        "UDP sockets whose datagrams follow the translation of a closed socket's flow and so " +
        "reach another destination than the one that they are addressed to.",
      unit: UNIT.perMinute,
      runbook: RUNBOOK,
      perRow: 2,
      queries: [
        { expr: perMinute(EVENTS, { matchers: 'redirected="true"' }), legend: "redirected" },
      ],
    }),
    graph({
      title: "Sockets on an old entry",
      description: "All of them, by the entry's translation; `none` is harmless.",
      unit: UNIT.perMinute,
      runbook: RUNBOOK,
      perRow: 2,
      queries: [{ expr: perMinute(EVENTS, { by: "nat" }), legend: "{{nat}}" }],
    }),
  ],
};
