import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { dashboards } from "./all.ts";
import { RUNBOOKS } from "./panels.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const GRAFANA = "dashboards/grafana";
const ALERTS = "dashboards/alerts";

const HELP = `Writes the dashboards (${GRAFANA}), which are code.

  npm run dashboards -- [--check] [--runbooks URL --out DIRECTORY]

  --check          writes nothing; fails if a file is not what it would write
  --runbooks URL   where you serve dashboards/runbooks: writes dashboards and alert rules with
                   that address in their links ...
  --out DIRECTORY  ... to this directory
`;

/** Path, from the project's root or the given directory, and text. */
type Files = ReadonlyMap<string, string>;

function grafanaFiles(folder: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const [name, dashboard] of dashboards()) {
    files.set(join(folder, name), `${JSON.stringify(dashboard, null, 2)}\n`);
  }
  return files;
}

/** For an installation with its own address of the runbooks. */
function published(runbooks: string): Files {
  const files = grafanaFiles("grafana");
  for (const name of readdirSync(join(ROOT, ALERTS)).filter((name) => name.endsWith(".yaml"))) {
    files.set(join("alerts", name), readFileSync(join(ROOT, ALERTS, name), "utf8"));
  }
  const base = runbooks.replace(/\/+$/, "");
  return new Map([...files].map(([path, text]) => [path, text.replaceAll(RUNBOOKS, base)]));
}

function write(directory: string, files: Files): void {
  for (const [path, text] of files) {
    mkdirSync(join(directory, path, ".."), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
}

function check(files: Files): number {
  const read = (path: string) => {
    try {
      return readFileSync(join(ROOT, path), "utf8");
    } catch {
      return undefined;
    }
  };
  const stale = [...files].filter(([path, text]) => read(path) !== text).map(([path]) => path);
  for (const path of stale) process.stderr.write(`${path} is stale: run \`npm run dashboards\`\n`);
  return stale.length === 0 ? 0 : 1;
}

const OPTIONS = {
  check: { type: "boolean", default: false },
  runbooks: { type: "string" },
  out: { type: "string" },
  help: { type: "boolean", short: "h", default: false },
} as const;

function main(args: string[]): number {
  const { values } = parseArgs({ args, options: OPTIONS });
  const { runbooks, out } = values;
  if (values.help) process.stdout.write(HELP);
  else if ((runbooks === undefined) !== (out === undefined)) {
    throw new TypeError("--runbooks and --out go together");
  } else if (runbooks !== undefined && out !== undefined) write(out, published(runbooks));
  else if (values.check) return check(grafanaFiles(GRAFANA));
  else write(ROOT, grafanaFiles(GRAFANA));
  return 0;
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`dashboards: ${(error as Error).message}\n`);
  process.exitCode = 2;
}
