import { Counter, type Registry } from "prom-client";
import { setCounter } from "../util/set-counter.ts";
import { NS_PER_SECOND } from "../util/units.ts";

/** Of one program, as the kernel counts them. */
export interface ProgramRuns {
  readonly probe: string;
  readonly program: string;
  readonly runTimeNs: number;
  readonly runCount: number;
  readonly recursionMisses: number;
}

export type ProgramSource = () => Promise<readonly ProgramRuns[]>;

type Field = "runTimeNs" | "runCount" | "recursionMisses";

/** Run time and runs of each program, as the kernel counts them (BPF_ENABLE_STATS). */
export function registerProgramStats(registry: Registry, programs: ProgramSource): void {
  register(registry, programs, {
    name: "tuplewatch_program_run_seconds_total",
    help: "Time that a BPF program ran, with --program-stats on.",
    field: "runTimeNs",
    unit: NS_PER_SECOND,
  });
  register(registry, programs, {
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
export function registerMissedRuns(registry: Registry, programs: ProgramSource): void {
  register(registry, programs, {
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
  programs: ProgramSource,
  { name, help, field, unit }: ProgramMetric,
): void {
  new Counter({
    name,
    help,
    labelNames: ["probe", "program"],
    registers: [registry],
    async collect() {
      for (const { probe, program, [field]: value } of await programs()) {
        setCounter(this, { probe, program }, value / unit);
      }
    },
  });
}
