import { Counter, Gauge, type Registry } from "prom-client";
import { setCounter } from "../util/set-counter.ts";
import { MS_PER_SECOND } from "../util/units.ts";
import { labelsOf, OTHER } from "./labels.ts";
import { registerOutlookMetrics } from "./outlook-metrics.ts";
import type { PortScans } from "./sampler.ts";
import type { PortCounts } from "./snapshot.ts";
import type { PortTrends } from "./trend.ts";

const PROTOCOLS = ["tcp", "udp"] as const;

type Value = (snapshot: PortCounts) => number | undefined;

/** Registers what port scans tell of each network namespace, and the sampler itself. */
export function registerNamespaceMetrics(
  registry: Registry,
  sampler: PortScans,
  trends: PortTrends,
): void {
  registerTables(registry, sampler);
  registerPorts(registry, sampler);
  registerOutlookMetrics(registry, sampler, trends);
  registerCounts(registry, sampler);
  registerSampler(registry, sampler);
}

function registerTables(registry: Registry, sampler: PortScans): void {
  const register = (name: string, help: string, value: Value) =>
    new Gauge({
      name,
      help,
      labelNames: ["netns"],
      registers: [registry],
      async collect() {
        this.reset();
        for (const [netns, sum] of await sums(sampler, value)) this.set({ netns }, sum);
      },
    });
  register(
    "tuplewatch_conntrack_entries",
    "Entries in the conntrack table of a network namespace.",
    ({ conntrack }) => conntrack?.entries,
  );
  register(
    "tuplewatch_conntrack_entries_limit",
    "Entries that the conntrack table of a network namespace may hold (nf_conntrack_max).",
    ({ conntrack }) => conntrack?.limit,
  );
}

function registerPorts(registry: Registry, sampler: PortScans): void {
  const register = (
    name: string,
    help: string,
    value: (snapshot: PortCounts, protocol: (typeof PROTOCOLS)[number]) => number,
  ) =>
    new Gauge({
      name,
      help,
      labelNames: ["netns", "protocol"],
      registers: [registry],
      async collect() {
        this.reset();
        for (const protocol of PROTOCOLS) {
          const found = await sums(sampler, (snapshot) => value(snapshot, protocol));
          for (const [netns, sum] of found) this.set({ netns, protocol }, sum);
        }
      },
    });
  register(
    "tuplewatch_local_ports_in_use",
    "Distinct ports of ip_local_port_range, less reserved ones, that a socket holds, in TIME_WAIT too.",
    (snapshot, protocol) => snapshot[protocol].in_use,
  );
  register(
    "tuplewatch_local_ports_available",
    "Ports of ip_local_port_range, less reserved ones, be they in use or not.",
    ({ range }) => range.available,
  );
}

function registerCounts(registry: Registry, sampler: PortScans): void {
  new Gauge({
    name: "tuplewatch_network_namespaces",
    help: "Network namespaces that exist.",
    registers: [registry],
    async collect() {
      const latest = await sampler.latest();
      if (latest !== undefined) this.set(latest.snapshots.length + latest.leftOut);
    },
  });
  new Gauge({
    name: "tuplewatch_network_namespaces_unlabelled",
    help: "Network namespaces without a label of their own: summed into other, or not looked at.",
    registers: [registry],
    async collect() {
      const latest = await sampler.latest();
      if (latest === undefined) return;
      this.set(labelsOf(latest).others.length + latest.leftOut);
    },
  });
}

function registerSampler(registry: Registry, sampler: PortScans): void {
  new Gauge({
    name: "tuplewatch_namespace_census_age_seconds",
    help: "Since local ports and conntrack tables were counted; at most some 10 s, or up to 60 s where that costs more than 0.2 s of CPU.",
    registers: [registry],
    async collect() {
      await sampler.latest();
      if (sampler.ageMs !== undefined) this.set(sampler.ageMs / MS_PER_SECOND);
    },
  });
  new Counter({
    name: "tuplewatch_namespace_census_failures_total",
    help: "Network namespaces whose ports could not be counted, and censuses that failed.",
    registers: [registry],
    collect() {
      setCounter(this, {}, sampler.failures);
    },
  });
}

/** The value of each labelled namespace, and the sum of the others. */
async function sums(sampler: PortScans, value: Value): Promise<Map<string, number>> {
  const latest = await sampler.latest();
  if (latest === undefined) return new Map();
  const { labelled, others } = labelsOf(latest);
  const found = new Map<string, number>();
  const add = (label: string, snapshot: PortCounts) => {
    const one = value(snapshot);
    if (one !== undefined) found.set(label, (found.get(label) ?? 0) + one);
  };
  for (const [label, snapshot] of labelled) add(label, snapshot);
  for (const snapshot of others) add(OTHER, snapshot);
  return found;
}
