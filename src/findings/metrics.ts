import { Counter, Gauge, type Registry } from "prom-client";
import type { FindingEngine } from "./engine.ts";
import { FINDING_KINDS } from "./finding.ts";

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
  new Gauge({
    name: "tuplewatch_finding_active",
    help: "Findings that are active, by kind.",
    labelNames: ["kind"],
    registers,
    collect() {
      for (const kind of FINDING_KINDS) this.set({ kind }, findings.active(kind));
    },
  });
  new Counter({
    name: "tuplewatch_findings_evicted_total",
    help: "Findings closed early to make room for newer ones.",
    registers,
    collect() {
      this.reset();
      this.inc(findings.evicted);
    },
  });
}
