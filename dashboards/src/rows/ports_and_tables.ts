import { graph, UNIT } from "../panels.ts";
import { PORT_USE, series, sumOr0, TABLE_USE } from "../queries.ts";
import type { Row } from "./row.ts";

const HIGH = { warning: 0.8, critical: 0.95 } as const;

export const portsAndTables: Row = {
  name: "ports_and_tables",
  title: "ports and tables: what is left in each network namespace",
  panels: [
    graph({
      title: "Local ports in use",
      description:
        "Of ip_local_port_range less reserved ports, with ports in TIME_WAIT. Connects to " +
        "different destinations may share a port: a full range fails for some, not for all.",
      unit: UNIT.ratio,
      runbook: "TuplewatchLocalPortsHigh",
      perRow: 3,
      levels: HIGH,
      max: 1,
      queries: [{ expr: PORT_USE, legend: "{{instance}} {{netns}} {{protocol}}" }],
    }),
    graph({
      title: "Local ports of one destination",
      description:
        "Part of the usable ports that is taken towards the destination with most, without those in " +
        "TIME_WAIT that a new connection may take over. At 100 % connects to it fail.",
      unit: UNIT.ratio,
      runbook: "TuplewatchLocalPortsLow",
      perRow: 3,
      levels: { warning: 0.5, critical: 0.9 },
      max: 1,
      queries: [
        {
          expr: series("tuplewatch_local_ports_destination_ratio", 'protocol="tcp",rank="1"'),
          legend: "{{instance}} {{netns}}",
        },
        // An empty panel would look broken on a host without such a connection.
        { expr: "vector(0)", legend: "none" },
      ],
    }),
    graph({
      title: "Local ports: time to the end",
      description:
        "When at the present rate the first destination of a network namespace has no port left. No " +
        "line while that is not within 10 minutes.",
      unit: UNIT.seconds,
      runbook: "TuplewatchLocalPortsLow",
      perRow: 3,
      queries: [
        {
          expr: series("tuplewatch_local_ports_exhausted_in_seconds"),
          legend: "{{instance}} {{netns}}",
        },
        { expr: "vector(600)", legend: "not within" },
      ],
    }),
    graph({
      title: "Conntrack table in use",
      description:
        "Of nf_conntrack_max. No line while conntrack is not loaded. At 100 % the packets of new " +
        "connections are dropped.",
      unit: UNIT.ratio,
      runbook: "TuplewatchConntrackTableHigh",
      perRow: 3,
      levels: HIGH,
      max: 1,
      queries: [
        { expr: TABLE_USE, legend: "{{instance}} {{netns}}" },
        // An empty panel would look broken on a host that does not track connections.
        { expr: "vector(0)", legend: "empty" },
      ],
    }),
    graph({
      title: "Network namespaces",
      description:
        "Those without a label of their own (more than 32 are in use) are summed into `other`.",
      unit: UNIT.number,
      perRow: 6,
      queries: [
        { expr: sumOr0(series("tuplewatch_network_namespaces")), legend: "all" },
        { expr: sumOr0(series("tuplewatch_network_namespaces_unlabelled")), legend: "in `other`" },
      ],
    }),
    graph({
      title: "Age of the census",
      description: "Since ports and entries were last counted, at most some 10 s.",
      unit: UNIT.seconds,
      perRow: 6,
      levels: { warning: 60 },
      queries: [
        {
          expr: `max by (instance) (${series("tuplewatch_namespace_census_age_seconds")})`,
          legend: "{{instance}}",
        },
      ],
    }),
  ],
};
