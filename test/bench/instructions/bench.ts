import { writeFileSync } from "node:fs";
import type { BenchOptions, BenchReport } from "../benches.ts";
import type { Figure } from "../statistics.ts";
import { type KernelResult, measureInGuest, ratioOf } from "./guests.ts";
import { ALL_PROBES, NOTHING, TCPCONNECT } from "./plan.ts";

const RESULT = "build/bench/instructions.json";
/** What docs/overhead.md is made of, by `npm run docs`. */
const PUBLISHED = "docs/overhead.json";

/** What a cycle costs beside the daemon and its peers, in guests that count instructions. */
export async function benchInstructions(options: BenchOptions): Promise<BenchReport> {
  const results: KernelResult[] = [];
  for (const kernel of options.kernels) {
    results.push(await measureInGuest(kernel, options.quick ? "quick" : "full", options.programs));
  }
  const path = options.save ? PUBLISHED : RESULT;
  writeFileSync(path, `${JSON.stringify(results.map(rounded), undefined, 1)}\n`);
  process.stderr.write(`bench: written to ${path}\n`);
  const figures = results.flatMap(figuresOf);
  const [first] = results;
  return { figures, ...(first && options.quick ? { closingLine: quickLine(first) } : {}) };
}

/** Below a tenth of an instruction there is nothing to know. */
function rounded(result: KernelResult): KernelResult {
  const round = (value: number) => Math.round(value * 10) / 10;
  const setups = result.setups.map((setup) => ({
    ...setup,
    measured: setup.measured.map((one) => ({
      ...one,
      instructions: round(one.instructions),
      spread: Math.round(one.spread * 1e4) / 1e4,
    })),
    programs: setup.programs.map((one) => ({
      ...one,
      runs: Math.round(one.runs * 100) / 100,
      instructionsPerRun: round(one.instructionsPerRun),
    })),
  }));
  return { ...result, setups };
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
