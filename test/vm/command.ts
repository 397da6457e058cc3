import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { shellQuote } from "./initramfs.ts";
import { type Kernel, ONE_SERIES } from "./kernels.ts";
import type { Options } from "./options.ts";
import { PROJECT_DIRECTORY } from "./project.ts";
import { hasKvm } from "./qemu.ts";

const TEST_FOLDERS = ["build/test/guest", "build/test/scenarios"];
const ONE_KERNEL_FOLDERS = ["build/test/remedies"];
const SYSTEMD_TEST_FOLDERS = ["build/test/systemd"];
/** The variables of this process that the guest's command gets too. */
const KEPT_VARIABLES = /^(HOME|LANG|LC_ALL|TUPLEWATCH_\w+)$/;
const REPORT_FILE = "/run/tuplewatch-guest/report.tap";

function quoted(words: readonly string[]): string {
  return words.map(shellQuote).join(" ");
}

async function testFiles(folder: string): Promise<string[]> {
  const path = join(PROJECT_DIRECTORY, folder);
  const names = (await readdir(path)).filter((name) => name.endsWith(".test.js"));
  return names.sort().map((name) => join(path, name));
}

function foldersOf({ pattern, systemd }: Options, { series }: Kernel): string[] {
  if (systemd) return SYSTEMD_TEST_FOLDERS;
  const isForAll = pattern === undefined && series !== ONE_SERIES;
  return isForAll ? TEST_FOLDERS : [...TEST_FOLDERS, ...ONE_KERNEL_FOLDERS];
}

async function testCommand(options: Options, kernel: Kernel): Promise<string[]> {
  const { pattern } = options;
  const folders = foldersOf(options, kernel);
  const all = (await Promise.all(folders.map(testFiles))).flat();
  if (all.length === 0) throw new Error(`find guest tests: none in ${folders.join(", ")}`);
  const named = all.filter((path) => pattern !== undefined && basename(path).includes(pattern));
  const byName = pattern !== undefined && named.length === 0;
  const files = named.length > 0 ? named : all;
  return [
    process.execPath,
    "--test-reporter=spec",
    "--test-reporter-destination=stdout",
    "--test-reporter=tap",
    `--test-reporter-destination=${REPORT_FILE}`,
    ...(byName ? [`--test-name-pattern=${pattern}`] : []),
    join(PROJECT_DIRECTORY, "build/test/vm/guest-tests.js"),
    ...files,
  ];
}

function environmentLines(): string[] {
  const kept = Object.entries(process.env)
    .filter(([name]) => KEPT_VARIABLES.test(name))
    .map(([name, value]) => `export ${name}=${shellQuote(value ?? "")}`);
  return [...kept, pathLine()];
}

/**
 * The system's programs come before the caller's: a version manager's python3 is a shell script that
 * takes five seconds to find the real one on an emulated CPU.
 */
function pathLine(): string {
  const [node, callers] = [dirname(process.execPath), process.env.PATH ?? "/bin"].map(shellQuote);
  return `export PATH=${node}:"$PATH":${callers}`;
}

function terminalLines(): string[] {
  // A terminal of unknown size says 0.
  const columns = process.stdout.columns || 80;
  const rows = process.stdout.rows || 24;
  return [
    `stty cols ${columns} rows ${rows}`,
    `export TERM=${shellQuote(process.env.TERM ?? "vt100")}`,
  ];
}

/** The shell script that a guest with `kernel` shall run. */
export async function guestScript(options: Options, kernel: Kernel): Promise<string> {
  const lines = [
    `cd ${shellQuote(PROJECT_DIRECTORY)} || exit`,
    ...environmentLines(),
    `export GUEST_KERNEL=${shellQuote(kernel.series)}`,
    `export GUEST_EMULATED=${hasKvm() ? 0 : 1}`,
  ];
  // Without the user's start-up files, some of which take ten seconds on an emulated CPU.
  if (options.mode === "shell") lines.push(...terminalLines(), "exec /bin/bash --norc");
  if (options.mode === "command") lines.push(`exec ${quoted(options.command)}`);
  if (options.mode === "tests") lines.push(`exec ${quoted(await testCommand(options, kernel))}`);
  return `${lines.join("\n")}\n`;
}
