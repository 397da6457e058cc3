import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { readArguments, refuse } from "../support/arguments.ts";
import { SCENARIOS, type ScenarioName } from "./catalog.ts";

const NAMES = Object.keys(SCENARIOS) as ScenarioName[];

const HELP = `Rebuilds an incident with real traffic in a virtual machine, and shows what
tuplewatch says of it. Nothing of it touches this machine's network.

  npm run demo -- [--kernel NAME] SCENARIO...

${NAMES.map((name) => `  ${name.padEnd(10)} ${SCENARIOS[name].title}`).join("\n")}

  --kernel NAME  5.10, 6.1, 6.12 or newest (the default)

A letter alone stands for all of its variants.
`;

/** On the host: boots a guest that runs show.js. Returns the exit code. */
async function main(): Promise<number> {
  const options = { kernel: { type: "string", default: "newest" } } as const;
  const { values, positionals } = readArguments({ allowPositionals: true, options }, HELP);
  if (positionals.length === 0) refuse("demo: which scenario?", HELP);
  const names = positionals.flatMap(named);
  const run = fileURLToPath(new URL("../vm/run.js", import.meta.url));
  const show = fileURLToPath(new URL("show.js", import.meta.url));
  const guest = [run, "--kernel", values.kernel, "--", process.execPath, show, ...names];
  const child = spawn(process.execPath, guest, { stdio: "inherit" });
  return new Promise((resolve) => child.on("close", (code) => resolve(code ?? 1)));
}

function named(word: string): ScenarioName[] {
  const found = NAMES.filter((name) => name === word || name.replace(/[-\d].*$/, "") === word);
  if (found.length === 0) {
    refuse(`demo: no scenario is called ${JSON.stringify(word)}`, HELP);
  }
  return found;
}

process.exitCode = await main();
