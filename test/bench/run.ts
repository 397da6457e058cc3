import { execFileSync, fork } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { fileURLToPath } from "node:url";
import { readArguments, refuse } from "../support/arguments.ts";
import { BENCHES, type BenchOptions, type BenchReport } from "./benches.ts";
import { printFigures } from "./statistics.ts";

const RESULT = "build/bench/result.json";

const USAGE = `usage: npm run bench -- [options] [NAME...]
Measures, prints medians and ratios, and writes them to ${RESULT}.
names: ${Object.keys(BENCHES).join(", ")}

  --quick        instructions: one kernel, and what a budget is for
  --programs     instructions: of each BPF program, too
  --save         instructions: into docs/overhead.json, for npm run docs
  --kernel NAME  instructions: of which kernel, as 6.12 or newest; may be repeated
`;

const FLAGS = {
  quick: { type: "boolean", default: false },
  programs: { type: "boolean", default: false },
  save: { type: "boolean", default: false },
  kernel: { type: "string", multiple: true },
} as const;

const KERNELS = ["6.12", "newest"];

async function main(): Promise<void> {
  const { positionals, values } = readArguments({ options: FLAGS, allowPositionals: true }, USAGE);
  const { quick, programs, save } = values;
  const unknown = positionals.find((name) => !(name in BENCHES));
  if (unknown !== undefined) refuse(`bench: unknown benchmark ${unknown}`, USAGE);
  const kernels = values.kernel ?? (quick ? KERNELS.slice(0, 1) : KERNELS);
  mkdirSync("build/bench", { recursive: true });
  execFileSync("make", ["--no-print-directory", "-s", "-C", "test/bench"], { stdio: "inherit" });
  const reports: BenchReport[] = [];
  for (const name of positionals.length > 0 ? positionals : Object.keys(BENCHES)) {
    process.stderr.write(`bench: ${name} ...\n`);
    const report = await measure(name, { quick, programs, save, kernels });
    printFigures(report.figures);
    reports.push(report);
  }
  const machine = { kernel: release(), node: process.version, cpu: cpus()[0]?.model };
  const figures = reports.flatMap((report) => report.figures);
  writeFileSync(RESULT, `${JSON.stringify({ machine, figures }, undefined, 2)}\n`);
  process.stderr.write(`bench: written to ${RESULT}\n`);
  for (const { closingLine } of reports) {
    if (closingLine !== undefined) process.stdout.write(`${closingLine}\n`);
  }
}

function measure(name: string, options: BenchOptions): Promise<BenchReport> {
  const path = fileURLToPath(new URL("one.js", import.meta.url));
  const child = fork(path, [name, JSON.stringify(options)]);
  return new Promise((resolve, reject) => {
    child.on("message", resolve);
    child.on("exit", (code, signal) => {
      reject(new Error(`benchmark ${name} ended with ${signal ?? `exit code ${code}`}`));
    });
  });
}

await main();
