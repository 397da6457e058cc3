import { dashboard } from "./dashboard.ts";
import { graph, type StatSpec, stat, timeline, UNIT } from "./panels.ts";
import {
  delayedConnects,
  inRange,
  inRangeByInstance,
  NO_PORT,
  PORT_USE,
  series,
  TABLE_USE,
} from "./queries.ts";
import type { Row } from "./rows/row.ts";
import { SIGNALS_UID } from "./signals.ts";
import { type Column, table } from "./tables.ts";

const OUTCOMES = "tuplewatch_challenge_ack_outcomes_total";
const CONNECTS = "tuplewatch_connect_events_total";
const REFUSED = "tuplewatch_conntrack_insert_failed_events_total";
const RETRY_DELAY = "tuplewatch_conntrack_insert_failed_delay_seconds";
const ACTIVE = series("tuplewatch_finding_active", 'severity!="info"');
const SINCE = series("tuplewatch_finding_active_since_timestamp_seconds");

const RESET = 'outcome="reset_by_peer"';
const DROPPED = 'verdict="dropped"';
const ANY = { critical: 1 } as const;

/** A field of Grafana's in a link. */
const field = (name: string) => `\${${name}}`;

/** Eight in one row. */
function cost(spec: Omit<StatSpec, "span" | "levels">): ReturnType<typeof stat> {
  return stat({ ...spec, span: 3, levels: ANY });
}

const NOW: Row = {
  name: "now",
  title: "Is it happening, and what did it cost in this time range?",
  panels: [
    cost({
      title: "Active findings",
      description: "Now, without those that need no action (severity info).",
      unit: UNIT.number,
      expr: `sum(${ACTIVE}) or vector(0)`,
    }),
    cost({
      title: "Resets",
      description: "Connections that their peer reset after a challenge ACK.",
      unit: UNIT.number,
      runbook: "TuplewatchChallengeAckResets",
      expr: inRange(OUTCOMES, RESET),
    }),
    cost({
      title: "Connects without a port",
      description: "Calls of connect() that failed because no local port was free.",
      unit: UNIT.number,
      runbook: "TuplewatchLocalPortExhaustion",
      expr: inRange(CONNECTS, NO_PORT),
    }),
    cost({
      title: "Delayed connects",
      description: "TCP connects that succeeded after more than 0.5 s: a SYN was lost.",
      unit: UNIT.number,
      runbook: "TuplewatchInsertFailuresRate",
      expr: `round(${delayedConnects("increase(%[$__range])")}) or vector(0)`,
    }),
    cost({
      title: "Packets refused",
      description: "Packets dropped because conntrack could not insert their entry.",
      unit: UNIT.number,
      runbook: "TuplewatchInsertFailuresRate",
      expr: inRange(REFUSED, DROPPED),
    }),
    cost({
      title: "Waited for a retry",
      description:
        "Seconds between a flow's first refusal by conntrack and its acceptance, summed.",
      unit: UNIT.seconds,
      runbook: "TuplewatchInsertFailuresRate",
      expr: inRange(`${RETRY_DELAY}_sum`),
    }),
    cost({
      title: "Events lost",
      description: "By the daemon itself: what it could not tell.",
      unit: UNIT.number,
      runbook: "TuplewatchEventsLost",
      expr: `${inRange("tuplewatch_events_lost_total")} + ${inRange("tuplewatch_events_dropped_total")}`,
    }),
    stat({
      title: "Daemons",
      description: "Instances that answer.",
      unit: UNIT.number,
      runbook: "TuplewatchDown",
      span: 3,
      expr: `count(${series("tuplewatch_build_info")}) or vector(0)`,
    }),
  ],
};

const KIND_COLUMNS: readonly Column[] = [
  { title: "Active", expr: `sum by (kind) (${ACTIVE})`, unit: UNIT.number, levels: ANY },
  {
    title: "Opened",
    expr: `round(sum by (kind) (increase(${series("tuplewatch_findings_total")}[$__range])))`,
    unit: UNIT.number,
  },
  { title: "Since", expr: `1000 * min by (kind) (${SINCE})`, unit: "dateTimeFromNow" },
];

const SINCE_WHEN: Row = {
  name: "since_when",
  title: "Since when?",
  panels: [
    timeline({
      title: "Active findings",
      description: "Of each kind, without those of severity info.",
      unit: UNIT.number,
      perRow: 2,
      levels: ANY,
      queries: [{ expr: `sum by (kind) (${ACTIVE})`, legend: "{{kind}}" }],
    }),
    table({
      title: "Kinds of findings",
      description: "Active now, opened in the time range, and since when the longest is active.",
      by: "kind",
      heading: "Kind",
      columns: KIND_COLUMNS,
      span: 12,
      height: 8,
    }),
  ],
};

const INSTANCE_COLUMNS: readonly Column[] = [
  { title: "Findings", expr: `sum by (instance) (${ACTIVE})`, unit: UNIT.number, levels: ANY },
  {
    title: "Resets",
    expr: inRangeByInstance(OUTCOMES, RESET),
    unit: UNIT.number,
    levels: ANY,
  },
  {
    title: "Without a port",
    expr: inRangeByInstance(CONNECTS, NO_PORT),
    unit: UNIT.number,
    levels: ANY,
  },
  {
    title: "Delayed",
    expr: `round(${delayedConnects("increase(%[$__range])", "instance")})`,
    unit: UNIT.number,
    levels: ANY,
  },
  { title: "Refused", expr: inRangeByInstance(REFUSED, DROPPED), unit: UNIT.number, levels: ANY },
  {
    title: "Ports",
    expr: `max by (instance) (${PORT_USE})`,
    unit: UNIT.ratio,
    levels: { warning: 0.8, critical: 0.95 },
  },
  {
    title: "Conntrack",
    expr: `max by (instance) (${TABLE_USE})`,
    unit: UNIT.ratio,
    levels: { warning: 0.8, critical: 0.95 },
  },
  {
    title: "Events lost",
    expr: inRangeByInstance("tuplewatch_events_lost_total"),
    unit: UNIT.number,
    levels: ANY,
  },
];

const WHERE: Row = {
  name: "where",
  title: "Where? (a click on an instance shows its signals)",
  panels: [
    table({
      title: "Instances",
      description:
        "Findings, ports and conntrack table now (the fullest namespace of each); the rest in " +
        "the time range.",
      by: "instance",
      heading: "Instance",
      link: {
        title: "Signals of this instance",
        url:
          `/d/${SIGNALS_UID}?var-instance=${field("__value.raw")}` +
          `&var-datasource=${field("datasource")}&${field("__url_time_range")}`,
      },
      columns: INSTANCE_COLUMNS,
      span: 24,
      height: 8,
    }),
  ],
};

const HEADROOM: Row = {
  name: "headroom",
  title: "What is left?",
  panels: [
    graph({
      title: "Fullest port ranges",
      description: "Local ports in use of the ten fullest, of each namespace and protocol.",
      unit: UNIT.ratio,
      runbook: "TuplewatchLocalPortsHigh",
      perRow: 2,
      levels: { warning: 0.8, critical: 0.95 },
      max: 1,
      queries: [{ expr: `topk(10, ${PORT_USE})`, legend: "{{instance}} {{netns}} {{protocol}}" }],
    }),
    graph({
      title: "Fullest conntrack tables",
      description: "The ten fullest; no line but `empty` where conntrack is not loaded.",
      unit: UNIT.ratio,
      runbook: "TuplewatchConntrackTableHigh",
      perRow: 2,
      levels: { warning: 0.8, critical: 0.95 },
      max: 1,
      queries: [
        { expr: `topk(10, ${TABLE_USE})`, legend: "{{instance}} {{netns}}" },
        { expr: "vector(0)", legend: "empty" },
      ],
    }),
  ],
};

/** Is it happening, where, since when, and what did it cost? */
export function overview(): object {
  const text = {
    uid: "tuplewatch-overview",
    title: "tuplewatch: overview",
    description: "Tuple collisions and missing local ports: where, since when, at what cost.",
  };
  return dashboard(text, [NOW, SINCE_WHEN, WHERE, HEADROOM]);
}
