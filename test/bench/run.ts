import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
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

/** `npm run bench [-- NAME...]`: prints medians and ratios, and writes them to build/bench. */
async function main(names: readonly string[]): Promise<number> {
  const unknown = names.find((name) => !(name in BENCHES));
  if (unknown !== undefined) {
    const known = Object.keys(BENCHES).join(", ");
    process.stderr.write(`bench: unknown benchmark ${unknown}; known: ${known}\n`);
    return 2;
  }
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
  return 0;
}

process.exitCode = await main(process.argv.slice(2));
