import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { SCENARIOS, type ScenarioName } from "./catalog.ts";

const NAMES = Object.keys(SCENARIOS) as ScenarioName[];

const HELP = `Rebuilds an incident with real traffic in a virtual machine, and shows what
tuplewatch says of it. Nothing of it touches this machine's network.

  npm run demo -- [--kernel NAME] SCENARIO...

${NAMES.map((name) => `  ${name.padEnd(10)} ${SCENARIOS[name].title}`).join("\n")}

  --kernel NAME  5.10, 6.1, 6.12 or newest (the default)

A letter alone stands for all of its variants.
`;

const USAGE = 2;

/** On the host: boots a guest that runs show.js. Returns the exit code. */
async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      kernel: { type: "string", default: "newest" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help || positionals.length === 0) {
    process.stdout.write(HELP);
    return values.help ? 0 : USAGE;
  }
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
    throw new Error(`no scenario is called ${JSON.stringify(word)}; known: ${NAMES.join(", ")}`);
  }
  return found;
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: Error) => {
    process.stderr.write(`demo: ${error.message}\n`);
    process.exitCode = USAGE;
  },
);
