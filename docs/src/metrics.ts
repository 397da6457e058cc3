import { FINDING_KINDS } from "../../src/events/finding-kinds.ts";
import { CONNTRACK_COUNTERS } from "../../src/kernel/conntrack-stats.ts";
import { CHALLENGE_MIBS } from "../../src/kernel/netstat.ts";
import { PROBES } from "../../src/probes/probes.ts";
import { codes, table } from "./markdown.ts";
import type { MetricFamily } from "./metric-families.ts";

const NAMESPACES =
  "name of `ip netns`, else cookie, before 5.14 inode number; the 32 with most in use, then `other`";

const PROBE_LIST = codes(PROBES.map(({ name }) => name));

/** Labels whose values depend on the machine or on what happens there, by metric or for all. */
const OPEN_LABELS: Readonly<Record<string, string>> = {
  netns: NAMESPACES,
  result: "`ok`, an errno's name, `unknown`",
  route: "path of the request",
  code: "HTTP status",
  program: "name of the BPF program",
  version: "of tuplewatch",
  node_version: "of Node",
  "tuplewatch_finding_active_since_timestamp_seconds kind": codes(FINDING_KINDS),
  "tuplewatch_program_run_seconds_total probe": PROBE_LIST,
  "tuplewatch_program_missed_runs_total probe": PROBE_LIST,
  "tuplewatch_program_runs_total probe": PROBE_LIST,
  "tuplewatch_kernel_tcp_total counter": codes(CHALLENGE_MIBS),
  "tuplewatch_kernel_conntrack_total counter": codes(CONNTRACK_COUNTERS),
  "tuplewatch_conntrack_insert_failed_events_total protocol": "`tcp`, `udp`, others when seen",
  "tuplewatch_conntrack_insert_failed_delay_seconds protocol": "`tcp`, `udp`, others when seen",
  "tuplewatch_local_ports_in_use protocol": codes(["tcp", "udp"]),
  "tuplewatch_local_ports_available protocol": codes(["tcp", "udp"]),
  "tuplewatch_local_ports_destination_ratio protocol": codes(["tcp", "udp"]),
  rank: "`1` to `3`",
};

export function metricTable(all: readonly MetricFamily[]): string {
  const rows = all.map(({ name, type, help, labels }) => {
    const braces = labels.length === 0 ? "" : `{${labels.join(",")}}`;
    return [`\`${name}${braces}\``, type, unit(name), help.replace(/\.$/, "")];
  });
  return table(["metric", "type", "unit", "meaning"], rows);
}

/** By the suffixes of https://prometheus.io/docs/practices/naming. */
function unit(name: string): string {
  if (/_timestamp_seconds$/.test(name)) return "s since 1970";
  if (/_seconds(_total)?$/.test(name)) return "s";
  return /_bytes(_total)?$/.test(name) ? "bytes" : "";
}

/** Labels of one name and the same values are one row. */
export function labelTable(all: readonly MetricFamily[]): string {
  const rows = new Map<string, { row: readonly [string, string]; metrics: string[] }>();
  for (const { name, labels, values } of all) {
    for (const label of labels) {
      const text = valuesText(name, label, values.get(label) ?? new Set());
      const key = `\`${label}\` | ${text}`;
      const found = rows.get(key) ?? { row: [`\`${label}\``, text], metrics: [] };
      found.metrics.push(`\`${name.replace("tuplewatch_", "")}\``);
      rows.set(key, found);
    }
  }
  const sorted = [...rows].sort(([one], [other]) => (one < other ? -1 : 1));
  return table(
    ["label", "of `tuplewatch_`...", "values"],
    sorted.map(([, { row, metrics }]) => [row[0], metrics.join(", "), row[1]]),
  );
}

function valuesText(name: string, label: string, seen: ReadonlySet<string>): string {
  const open = OPEN_LABELS[`${name} ${label}`] ?? OPEN_LABELS[label];
  if (open !== undefined) return open;
  if (seen.size === 0) throw new Error(`${name}: nothing is known of the values of ${label}`);
  return codes(seen);
}
