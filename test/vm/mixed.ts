// npm run test:mixed -- [--minutes N] [--stats] [--backends LIST] [options of test:vm]
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const RUN = fileURLToPath(new URL("run.js", import.meta.url));

/** Beyond the traffic: start, the last round of faults, the comparison. */
const SPARE_SECONDS = 600;

/** Takes an option and its value out of the arguments. */
function take(args: string[], name: string): string | undefined {
  const at = args.indexOf(name);
  return at < 0 ? undefined : args.splice(at, 2)[1];
}

const HELP = `usage: npm run test:mixed -- [options] [options of test:vm]
Known faults in ordinary traffic, in guests: each is its events, and there are no others.
  --minutes N      10 by default; fractions will do
  --backends LIST  one daemon each, as fentry,kprobe; auto by default
  --stats          measure the BPF programs, beside an empty one
`;

function main(args: string[]): number {
  if (args.includes("--help")) {
    process.stdout.write(HELP);
    return 0;
  }
  const minutes = Number(take(args, "--minutes") ?? 10);
  const backends = take(args, "--backends") ?? "auto";
  const stats = args.includes("--stats");
  if (!(minutes > 0 && minutes <= 24 * 60)) {
    process.stderr.write("mixed: --minutes: a number above 0 and up to 1440 is needed\n");
    return 2;
  }
  const seconds = Math.round(minutes * 60);
  const rest = args.filter((arg) => arg !== "--stats");
  const limit = ["--timeout", String(seconds + SPARE_SECONDS)];
  const env = {
    ...process.env,
    TUPLEWATCH_MIXED_SECONDS: String(seconds),
    TUPLEWATCH_MIXED_BACKENDS: backends,
    TUPLEWATCH_MIXED_STATS: stats ? "on" : "off",
  };
  if (stats) spawnSync("make", ["-s", "-C", "test/bench"], { stdio: "inherit" });
  const command = [RUN, ...limit, ...rest, "mixed"];
  return spawnSync(process.execPath, command, { stdio: "inherit", env }).status ?? 1;
}

process.exitCode = main(process.argv.slice(2));
