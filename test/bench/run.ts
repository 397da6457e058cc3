import { execFileSync, fork } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { fileURLToPath } from "node:url";
import { readArguments, refuse } from "../support/arguments.ts";
import { BENCHES } from "./benches.ts";
import { type Figure, printFigures } from "./statistics.ts";

const RESULT = "build/bench/result.json";

const USAGE = `usage: npm run bench [-- NAME...]
Measures, prints medians and ratios, and writes them to ${RESULT}.
names: ${Object.keys(BENCHES).join(", ")}
`;

async function main(): Promise<void> {
  const { positionals: names } = readArguments({ allowPositionals: true }, USAGE);
  const unknown = names.find((name) => !(name in BENCHES));
  if (unknown !== undefined) refuse(`bench: unknown benchmark ${unknown}`, USAGE);
  mkdirSync("build/bench", { recursive: true });
  execFileSync("make", ["--no-print-directory", "-s", "-C", "test/bench"], { stdio: "inherit" });
  const figures: Figure[] = [];
  for (const name of names.length > 0 ? names : Object.keys(BENCHES)) {
    process.stderr.write(`bench: ${name} ...\n`);
    const found = await measure(name);
    printFigures(found);
    figures.push(...found);
  }
  const machine = { kernel: release(), node: process.version, cpu: cpus()[0]?.model };
  writeFileSync(RESULT, `${JSON.stringify({ machine, figures }, undefined, 2)}\n`);
  process.stderr.write(`bench: written to ${RESULT}\n`);
}

function measure(name: string): Promise<Figure[]> {
  const child = fork(fileURLToPath(new URL("one.js", import.meta.url)), [name]);
  return new Promise((resolve, reject) => {
    child.on("message", resolve);
    child.on("exit", (code, signal) => {
      reject(new Error(`benchmark ${name} ended with ${signal ?? `exit code ${code}`}`));
    });
  });
}

await main();
