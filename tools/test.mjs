// Runs all checks and tests, in the order in which they fail fastest. `npm test -- --host` leaves
// out the guests, `-- --guests` runs nothing else.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
// What the set-up fetched without installing it.
process.env.PATH = `${join(root, "build", "tools", "usr", "bin")}:${process.env.PATH}`;

const args = process.argv.slice(2);
const unknown = args.filter((arg) => arg !== "--host" && arg !== "--guests");
if (unknown.length > 0) {
  process.stderr.write(`test: unknown argument ${unknown[0]}; known: --host, --guests\n`);
  process.exit(2);
}

function step(name, command, commandArgs) {
  const startedMs = performance.now();
  process.stdout.write(`\n== ${name}\n`);
  const { status, signal, error } = spawnSync(command, commandArgs, {
    cwd: root,
    stdio: "inherit",
  });
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  process.stdout.write(`== ${name}: ${status === 0 ? "passed" : "FAILED"} after ${seconds} s\n`);
  if (status === 0) return;
  if (error || signal) process.stderr.write(`test: ${name}: ${error?.message ?? signal}\n`);
  process.exit(status ?? 1);
}

function testFiles(...directories) {
  return directories.flatMap((directory) =>
    readdirSync(join(root, directory))
      .filter((name) => name.endsWith(".test.js"))
      .map((name) => join(directory, name)),
  );
}

const node = process.execPath;
if (!args.includes("--guests")) {
  step("lint and format", node, [
    "node_modules/@biomejs/biome/bin/biome",
    "check",
    "--error-on-warnings",
    ".",
  ]);
  const makeInBpf = (target) => ["--no-print-directory", "-s", "-C", "bpf", target];
  step("format of the C sources", "make", makeInBpf("format-check"));
  step("C headers, each alone", "make", makeInBpf("headers-check"));
  step("generated code", node, ["build/src/events/gen.js", "--check"]);
  step("generated description of the interface", node, [
    "build/src/http/openapi/gen.js",
    "--check",
  ]);
  step("generated documentation", node, ["build/docs/src/main.js", "--check"]);
  // The same cases each time: what a change broke is to fail, not what chance finds. Look for more
  // with npm run fuzz.
  step("fuzzing", node, ["build/test/fuzz/run.js", "--seed", "5961"]);
  const files = testFiles(
    "src/libbpf-ts/build/test",
    "build/test/unit",
    "build/test/vm",
    "build/test/host",
    "build/test/host/faults",
  );
  // One file at a time: they share one kernel, and several measure time.
  const tests = ["--test", "--test-concurrency=1", "--test-reporter=spec", ...files];
  step("tests on this host", node, tests);
}
if (!args.includes("--host")) {
  step("cost in instructions", node, ["build/test/bench/instructions/check.js"]);
  step("tests in guests", node, ["build/test/vm/run.js", "--all"]);
}
