import { Counter, Gauge, type Registry } from "prom-client";
import { FINDING_KINDS, SEVERITIES } from "../events/finding-kinds.ts";
import { setCounter } from "../util/set-counter.ts";
import { MS_PER_SECOND } from "../util/units.ts";
import type { FindingEngine } from "./engine.ts";

/** Every kind has its value from the start, so that an alert rule never waits for a series. */
export function registerFindingMetrics(registry: Registry, findings: FindingEngine): void {
  const registers = [registry];
  new Counter({
    name: "tuplewatch_findings_total",
    help: "Findings opened since the start, by kind.",
    labelNames: ["kind"],
    registers,
    collect() {
      this.reset();
      for (const kind of FINDING_KINDS) this.inc({ kind }, findings.opened(kind));
    },
  });
  registerActive(registry, findings);
  registerLost(registry, findings);
}

function registerLost(registry: Registry, findings: FindingEngine): void {
  const register = (name: string, help: string, value: () => number) =>
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        setCounter(this, {}, value());
      },
    });
  register(
    "tuplewatch_findings_evicted_total",
    "Findings closed early to make room: of whoever has most, the least severe, then the oldest.",
    () => findings.evicted,
  );
  register(
    "tuplewatch_findings_refused_total",
    "Findings not opened, because those of the same user and cgroup that are open are more severe.",
    () => findings.refused,
  );
  register(
    "tuplewatch_finding_port_queries_dropped_total",
    "Counts of local ports that findings did without, because too many were wanted at once.",
    () => findings.droppedPortQueries,
  );
}

function registerActive(registry: Registry, findings: FindingEngine): void {
  new Gauge({
    name: "tuplewatch_finding_active",
    help: "Findings that are active, by kind and severity.",
    labelNames: ["kind", "severity"],
    registers: [registry],
    collect() {
      for (const kind of FINDING_KINDS) {
        for (const severity of SEVERITIES) this.set({ kind, severity }, 0);
      }
      for (const { kind, severity } of findings.activeFindings()) this.inc({ kind, severity });
    },
  });
  new Gauge({
    name: "tuplewatch_finding_active_since_timestamp_seconds",
    help: "When the longest of the active findings of a kind was first seen; absent if there is none.",
    labelNames: ["kind"],
    registers: [registry],
    collect() {
      this.reset();
      const since = new Map<string, number>();
      for (const { kind, first_seen } of findings.activeFindings()) {
        const seconds = Date.parse(first_seen) / MS_PER_SECOND;
        since.set(kind, Math.min(seconds, since.get(kind) ?? seconds));
      }
      for (const [kind, seconds] of since) this.set({ kind }, seconds);
    },
  });
}
