import { graph, timeline, UNIT } from "../panels.ts";
import { perMinute, perSecond, series } from "../queries.ts";
import type { Row } from "./row.ts";

const LOST = "TuplewatchEventsLost";

export const daemon: Row = {
  name: "daemon",
  title: "the daemon: what it sees, and what it misses",
  panels: [
    timeline({
      title: "Attached backends",
      description:
        "Instances on which the probe is attached by the backend. Which one is used depends on " +
        "the kernel; a probe that is attached by none is blind.",
      unit: UNIT.number,
      runbook: "TuplewatchProbeNotAttached",
      perRow: 2,
      levels: { good: 1 },
      queries: [
        {
          expr: `sum by (probe, backend) (${series("tuplewatch_probe_attached")})`,
          legend: "{{probe}}: {{backend}}",
        },
      ],
    }),
    graph({
      title: "Blind probes",
      description:
        "Instances on which a probe is attached and tells less than half of what happens, by cause.",
      unit: UNIT.number,
      perRow: 4,
      runbook: "TuplewatchProbeBlind",
      queries: [
        {
          expr: `sum by (probe, cause) (${series("tuplewatch_probe_blind", 'cause!="not_attached"')})`,
          legend: "{{probe}}: {{cause}}",
        },
      ],
    }),
    graph({
      title: "Events",
      description: "What the probes had to report, of each probe.",
      unit: UNIT.perSecond,
      perRow: 4,
      queries: [
        {
          expr: perSecond("tuplewatch_events_attempted_total", { by: "probe" }),
          legend: "{{probe}}",
        },
      ],
    }),
    graph({
      title: "Events missed",
      description:
        "Lost because a ring was full, dropped by the daemon, or held back by a limit that the " +
        "settings chose (--connect-events, --max-events-per-second).",
      unit: UNIT.perMinute,
      runbook: LOST,
      perRow: 4,
      queries: [
        { expr: perMinute("tuplewatch_events_lost_total"), legend: "lost" },
        { expr: perMinute("tuplewatch_events_dropped_total"), legend: "dropped" },
        { expr: perMinute("tuplewatch_events_filtered_total"), legend: "held back" },
      ],
    }),
    graph({
      title: "Rings",
      description: "How full the ring between kernel and daemon is; a full one loses events.",
      unit: UNIT.ratio,
      runbook: LOST,
      perRow: 4,
      levels: { warning: 0.5, critical: 0.9 },
      max: 1,
      queries: [
        {
          expr:
            `max by (probe) (${series("tuplewatch_ring_fill_bytes")} ` +
            `/ (${series("tuplewatch_ring_size_bytes")} > 0))`,
          legend: "{{probe}}",
        },
        // Without any probe attached there is no ring.
        { expr: "vector(0)", legend: "empty" },
      ],
    }),
    graph({
      title: "Readers of the stream",
      description: "Open /events streams.",
      unit: UNIT.number,
      perRow: 4,
      queries: [
        {
          expr: `sum by (instance) (${series("tuplewatch_stream_clients")})`,
          legend: "{{instance}}",
        },
      ],
    }),
    graph({
      title: "Events that readers missed",
      description: "They were slow, or came too late for what the journal keeps.",
      unit: UNIT.perMinute,
      runbook: LOST,
      perRow: 4,
      queries: [
        {
          expr: perMinute("tuplewatch_stream_events_dropped_total", { by: "reason" }),
          legend: "{{reason}}",
        },
      ],
    }),
    graph({
      title: "Time in BPF programs",
      description: "Seconds of CPU a second, with --program-stats on; else 0.",
      unit: UNIT.ratio,
      perRow: 4,
      queries: [
        { expr: perSecond("tuplewatch_program_run_seconds_total"), legend: "all programs" },
      ],
    }),
  ],
};
