import { Counter, type Registry } from "prom-client";
import type { AttachedProbe } from "../kernel/attach.ts";
import { setCounter } from "./kernel-metrics.ts";

const NS_PER_SECOND = 1e9;

type Field = "runTimeNs" | "runCount" | "recursionMisses";

/** Run time and runs of each program, as the kernel counts them (BPF_ENABLE_STATS). */
export function registerProgramStats(registry: Registry, probes: () => AttachedProbe[]): void {
  register(registry, probes, {
    name: "tuplewatch_program_run_seconds_total",
    help: "Time that a BPF program ran, with --program-stats on.",
    field: "runTimeNs",
    unit: NS_PER_SECOND,
  });
  register(registry, probes, {
    name: "tuplewatch_program_runs_total",
    help: "Times that a BPF program ran, with --program-stats on.",
    field: "runCount",
    unit: 1,
  });
}

/**
 * A kernel that can preempt programs (CONFIG_PREEMPT, PREEMPT_LAZY) runs none of them a second time
 * on a CPU on which it is not finished: __bpf_prog_enter_recur() in kernel/bpf/trampoline.c,
 * __bpf_trace_run() in kernel/trace/bpf_trace.c. It counts that from 5.12 on (9ed9e9ba2337). A kprobe
 * it does not run while any is active on that CPU, or a system call on a BPF map: trace_call_bpf(),
 * which counts from 6.7 on.
 */
export function registerMissedRuns(registry: Registry, probes: () => AttachedProbe[]): void {
  register(registry, probes, {
    name: "tuplewatch_program_missed_runs_total",
    help: "Times that the kernel did not run a BPF program, because it (or, for a kprobe, another one) was active on that CPU.",
    field: "recursionMisses",
    unit: 1,
  });
}

interface ProgramMetric {
  readonly name: string;
  readonly help: string;
  readonly field: Field;
  readonly unit: number;
}

function register(
  registry: Registry,
  probes: () => AttachedProbe[],
  { name, help, field, unit }: ProgramMetric,
): void {
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
}
