import { Counter, type Registry } from "prom-client";
import type { AttachedProbe } from "../kernel/attach.ts";
import { setCounter } from "./kernel-metrics.ts";

const NS_PER_SECOND = 1e9;

/** Run time and runs of each program, as the kernel counts them (BPF_ENABLE_STATS). */
export function registerProgramMetrics(registry: Registry, probes: () => AttachedProbe[]): void {
  const register = (name: string, help: string, field: "runTimeNs" | "runCount", unit: number) =>
    new Counter({
      name,
      help,
      labelNames: ["probe", "program"],
      registers: [registry],
      collect() {
        for (const { probe, object } of probes()) {
          for (const [program, loaded] of object.programs) {
            if (!loaded.loaded) continue;
            const value = Number(loaded.runStats()[field]) / unit;
            setCounter(this, { probe: probe.name, program }, value);
          }
        }
      },
    });
  register(
    "tuplewatch_program_run_seconds_total",
    "Time that a BPF program ran, with --program-stats on.",
    "runTimeNs",
    NS_PER_SECOND,
  );
  register(
    "tuplewatch_program_runs_total",
    "Times that a BPF program ran, with --program-stats on.",
    "runCount",
    1,
  );
}
