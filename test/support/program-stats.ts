import { OpenObject } from "libbpf-ts";
import { NS_PER_SECOND } from "../../src/util/units.ts";
import { metric } from "./feed.ts";

/** Built by test/bench/Makefile. */
const EMPTY_OBJECT = "build/bench/empty.bpf.o";

/** A program that does nothing at each system call, measured as the others are. */
export function startEmptyProgram(): { nsPerRun(): number; close(): void } {
  const object = OpenObject.openFile(EMPTY_OBJECT).load();
  const program = object.program("empty");
  const link = program.attach();
  return {
    nsPerRun: () => {
      const { runTimeNs, runCount } = program.runStats();
      return Number(runTimeNs) / Number(runCount);
    },
    close: () => {
      link.close();
      object.close();
    },
  };
}

/** Markdown: mean time per run, also as a multiple of the empty program's. */
export async function printProgramStats(
  daemons: readonly { backend: string; url: string }[],
  emptyNs: number,
): Promise<string> {
  const rows = [`empty program: ${emptyNs.toFixed(0)} ns`];
  for (const { backend, url } of daemons) {
    const runs = await metric(url, "tuplewatch_program_runs_total");
    const seconds = await metric(url, "tuplewatch_program_run_seconds_total");
    for (const [labels, count] of runs) {
      if (count === 0) continue;
      const [, probe, program] = /probe="(\w+)",program="(\w+)"/.exec(labels) ?? [];
      const ns = ((seconds.get(labels) ?? 0) / count) * NS_PER_SECOND;
      const ratio = (ns / emptyNs).toFixed(1);
      rows.push(`| ${backend} | ${probe} | ${program} | ${count} | ${ns.toFixed(0)} | ${ratio} |`);
    }
  }
  return rows.join("\n");
}
