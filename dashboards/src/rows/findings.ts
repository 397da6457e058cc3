import { graph, timeline, UNIT } from "../panels.ts";
import { perMinute, series } from "../queries.ts";
import type { Row } from "./row.ts";

const ACTIVE = series("tuplewatch_finding_active");

export const findings: Row = {
  name: "findings",
  title: "findings: what tuplewatch makes of it",
  panels: [
    timeline({
      title: "Active findings by kind",
      description:
        "How many are active, as in `tuplewatch findings`. One closes when nothing more was seen " +
        "of it for five minutes (--finding-quiet-seconds).",
      unit: UNIT.number,
      perRow: 2,
      levels: { critical: 1 },
      queries: [{ expr: `sum by (kind) (${ACTIVE})`, legend: "{{kind}}" }],
    }),
    graph({
      title: "Active findings by severity",
      description: "`info` needs no action.",
      unit: UNIT.number,
      perRow: 4,
      queries: [{ expr: `sum by (severity) (${ACTIVE})`, legend: "{{severity}}" }],
    }),
    graph({
      title: "Opened and left out",
      description:
        "Findings that opened; that were closed early because more than 256 were active; and " +
        "events that were too many at once for findings to look at.",
      unit: UNIT.perMinute,
      perRow: 4,
      queries: [
        { expr: perMinute("tuplewatch_findings_total"), legend: "opened" },
        { expr: perMinute("tuplewatch_findings_evicted_total"), legend: "closed early" },
        { expr: perMinute("tuplewatch_findings_refused_total"), legend: "not opened" },
        { expr: perMinute("tuplewatch_finding_events_skipped_total"), legend: "events skipped" },
      ],
    }),
  ],
};
