import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { readArguments, refuse } from "../support/arguments.ts";
import { benchConnects } from "./connects.ts";
import { benchIdle } from "./idle.ts";
import { benchPrograms } from "./programs.ts";
import { benchRing } from "./ring.ts";
import { benchSlowloris } from "./slowloris.ts";
import { type Figure, printFigures } from "./statistics.ts";
import { benchStreams } from "./streams.ts";

const BENCHES: Readonly<Record<string, () => Figure[] | Promise<Figure[]>>> = {
  ring: benchRing,
  connects: benchConnects,
  programs: benchPrograms,
  idle: benchIdle,
  slowloris: benchSlowloris,
  streams: benchStreams,
};

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
    const found = (await BENCHES[name]?.()) ?? [];
    printFigures(found);
    figures.push(...found);
  }
  const machine = { kernel: release(), node: process.version, cpu: cpus()[0]?.model };
  writeFileSync(RESULT, `${JSON.stringify({ machine, figures }, undefined, 2)}\n`);
  process.stderr.write(`bench: written to ${RESULT}\n`);
}

await main();
