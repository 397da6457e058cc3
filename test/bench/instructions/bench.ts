import { writeFileSync } from "node:fs";
import type { BenchOptions, BenchReport } from "../benches.ts";
import type { Figure } from "../statistics.ts";
import { type KernelResult, measureInGuest, ratioOf } from "./guests.ts";
import { ALL_PROBES, NOTHING, TCPCONNECT } from "./plan.ts";

const RESULT = "build/bench/instructions.json";

/** What a cycle costs beside the daemon and its peers, in guests that count instructions. */
export async function benchInstructions(options: BenchOptions): Promise<BenchReport> {
  const results: KernelResult[] = [];
  for (const kernel of options.kernels) {
    results.push(await measureInGuest(kernel, options.quick ? "quick" : "full"));
  }
  writeFileSync(RESULT, `${JSON.stringify(results, undefined, 1)}\n`);
  process.stderr.write(`bench: written to ${RESULT}\n`);
  const figures = results.flatMap(figuresOf);
  const [first] = results;
  return { figures, ...(first && options.quick ? { closingLine: quickLine(first) } : {}) };
}

function figuresOf(result: KernelResult): Figure[] {
  return result.setups.flatMap(({ name, measured, programs }) => [
    ...measured.map(({ cycle, instructions }): Figure => {
      if (name === NOTHING) {
        return { name: `${result.kernel} ${cycle}`, value: instructions, unit: "instructions" };
      }
      const ratio = ratioOf(result, name, cycle);
      return { name: `${result.kernel} ${cycle}: ${name}`, value: ratio, unit: "/ nothing" };
    }),
    ...programs.map(({ cycle, probe, program, runs, instructionsPerRun }) => ({
      name: `${result.kernel} ${cycle}: ${probe} ${program}, ${runs.toFixed(2)} runs`,
      value: instructionsPerRun,
      unit: "instructions per run",
    })),
  ]);
}

/** One line for scripts: ratios to nothing of all probes, and of the peer. */
export function quickLine(result: KernelResult): string {
  const ratio = (setup: string, cycle: string) => ratioOf(result, setup, cycle).toFixed(3);
  const cycles = ["tcp_ok", "tcp_refused", "udp_nat", "http_new", "http_keepalive"];
  const own = cycles.map((cycle) => `${cycle} ${ratio(ALL_PROBES, cycle)}`).join(" ");
  return `instructions: ${own} tcpconnect ${ratio(TCPCONNECT, "tcp_ok")} kernel ${result.kernel}`;
}
