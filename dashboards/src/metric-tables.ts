import { pino } from "pino";
import { type MetricObjectWithValues, type MetricValue, Registry } from "prom-client";
import { defaultConfig } from "../../src/config/load.ts";
import { startDaemon } from "../../src/daemon.ts";
import { FINDING_KINDS } from "../../src/findings/finding.ts";
import { CONNTRACK_COUNTERS } from "../../src/kernel/conntrack-stats.ts";
import { CHALLENGE_MIBS } from "../../src/kernel/netstat.ts";
import { registerProgramStats } from "../../src/pipeline/program-metrics.ts";
import { PROBES } from "../../src/probes/index.ts";
import { AccessSource } from "../../src/serve/access/access-source.ts";
import { Watch } from "../../src/watch.ts";

/** One metric family, as the running daemon has it. */
export interface MetricFamily {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly labels: readonly string[];
  /** Values that each label has in a daemon that has seen nothing yet. */
  readonly values: ReadonlyMap<string, ReadonlySet<string>>;
}

const NAMESPACES =
  "name of `ip netns`, else cookie, else inode number; the 32 with most in use, then `other`";

const PROBE_LIST = listed(PROBES.map(({ name }) => name));

/** Labels whose values depend on the machine or on what happens there, by metric or for all. */
const OPEN_LABELS: Readonly<Record<string, string>> = {
  netns: NAMESPACES,
  result: "`ok`, an errno's name, `unknown`",
  route: "path of the request",
  code: "HTTP status",
  program: "name of the BPF program",
  version: "of tuplewatch",
  node_version: "of Node",
  "tuplewatch_finding_active_since_timestamp_seconds kind": listed(FINDING_KINDS),
  "tuplewatch_program_run_seconds_total probe": PROBE_LIST,
  "tuplewatch_program_missed_runs_total probe": PROBE_LIST,
  "tuplewatch_program_runs_total probe": PROBE_LIST,
  "tuplewatch_kernel_tcp_total counter": listed(CHALLENGE_MIBS),
  "tuplewatch_kernel_conntrack_total counter": listed(CONNTRACK_COUNTERS),
  "tuplewatch_conntrack_insert_failed_events_total protocol": "`tcp`, `udp`, others when seen",
  "tuplewatch_conntrack_insert_failed_delay_seconds protocol": "`tcp`, `udp`, others when seen",
  "tuplewatch_local_ports_in_use protocol": listed(["tcp", "udp"]),
  "tuplewatch_local_ports_available protocol": listed(["tcp", "udp"]),
};

/** Every metric of the daemon, with all probes and nothing attached, by name. */
export async function metricFamilies(): Promise<MetricFamily[]> {
  let registry = new Registry();
  const config = {
    ...defaultConfig(),
    listen: { kind: "tcp", host: "127.0.0.1", port: 0 },
    backend: "counters",
  } as const;
  const logger = pino({ level: "silent" });
  const daemon = await startDaemon(config, logger, new AccessSource(config, logger), (context) => {
    registry = context.registry;
    // As with --program-stats on; nothing is attached that could be measured.
    registerProgramStats(registry, () => []);
    return new Watch(context);
  });
  try {
    const metrics = await registry.getMetricsAsJSON();
    return metrics
      .map((metric) => family(registry, metric))
      .sort((one, other) => one.name.localeCompare(other.name, "en"));
  } finally {
    await daemon.stop();
  }
}

function family(
  registry: Registry,
  { name, type, help, values }: MetricObjectWithValues<MetricValue<string>>,
): MetricFamily {
  // prom-client knows the labels of a metric without values too, but does not declare them.
  const { labelNames } = registry.getSingleMetric(name) as unknown as {
    readonly labelNames: readonly string[];
  };
  const found = new Map(labelNames.map((label) => [label, new Set<string>()]));
  for (const { labels } of values) {
    for (const [label, value] of Object.entries(labels)) found.get(label)?.add(String(value));
  }
  return { name, type: String(type), help, labels: labelNames, values: found };
}

/** The README's tables: of the metrics, and of the values of their labels. */
export async function metricTables(): Promise<string> {
  const all = await metricFamilies();
  return `${metricTable(all)}\n${labelTable(all)}`;
}

function metricTable(all: readonly MetricFamily[]): string {
  const rows = all.map(({ name, type, help, labels }) => {
    const braces = labels.length === 0 ? "" : `{${labels.join(",")}}`;
    return `| \`${name}${braces}\` | ${type} | ${unit(name)} | ${help.replace(/\.$/, "")} |\n`;
  });
  return `| metric | type | unit | meaning |\n|---|---|---|---|\n${rows.join("")}`;
}

/** By the suffixes of https://prometheus.io/docs/practices/naming. */
function unit(name: string): string {
  if (/_timestamp_seconds$/.test(name)) return "s since 1970";
  if (/_seconds(_total)?$/.test(name)) return "s";
  return /_bytes(_total)?$/.test(name) ? "bytes" : "";
}

/** Labels of one name and the same values are one row. */
function labelTable(all: readonly MetricFamily[]): string {
  const rows = new Map<string, string[]>();
  for (const { name, labels, values } of all) {
    for (const label of labels) {
      const text = valuesText(name, label, values.get(label) ?? new Set());
      const key = `\`${label}\` | ${text}`;
      rows.set(key, [...(rows.get(key) ?? []), name]);
    }
  }
  const lines = [...rows].sort().map(([key, names]) => {
    const [label, text] = key.split(" | ");
    return `| ${label} | ${names.map(shorten).join(", ")} | ${text} |\n`;
  });
  return `| label | of \`tuplewatch_\`... | values |\n|---|---|---|\n${lines.join("")}`;
}

function shorten(name: string): string {
  return `\`${name.replace("tuplewatch_", "")}\``;
}

function valuesText(name: string, label: string, seen: ReadonlySet<string>): string {
  const open = OPEN_LABELS[`${name} ${label}`] ?? OPEN_LABELS[label];
  if (open !== undefined) return open;
  if (seen.size === 0) throw new Error(`${name}: nothing is known of the values of ${label}`);
  return listed(seen);
}

function listed(values: Iterable<string>): string {
  return [...values].map((value) => `\`${value}\``).join(", ");
}
