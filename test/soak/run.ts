import { spawnSync } from "node:child_process";
import { release } from "node:os";
import { fileURLToPath } from "node:url";
import { wholeNumber } from "../../src/config/values.ts";
import { readArguments, refuse } from "../support/arguments.ts";
import { growth } from "./memory.ts";
import { type SoakResult, soak } from "./soak.ts";

const USAGE = `usage: npm run soak -- [--minutes N] [--rate N] [--kernel NAME]
  --minutes N     10 by default; fractions will do
  --rate N        ordinary connections a second (default 5000, in a guest 200)
  --kernel NAME   in a guest with this kernel, where nf_conntrack is removed and added meanwhile
`;

const OPTIONS = {
  minutes: { type: "string", default: "10" },
  rate: { type: "string" },
  kernel: { type: "string" },
  /** What a guest is called with. */
  module: { type: "boolean", default: false },
} as const;

const HOST_RATE = 5000;
const GUEST_RATE = 200;
const ROUND_SECONDS = 10;
const MAX_GROWTH_MIB = 5;
/** One a quarter; a run of minutes has more. */
const MIN_ROUNDS = 4;
/** A guest needs time to start, and rounds take longer there. */
const GUEST_SPARE_SECONDS = 900;

async function main(): Promise<number> {
  const { values } = readArguments({ options: OPTIONS }, USAGE);
  const minutes = Number(values.minutes);
  const isGuest = values.module || values.kernel !== undefined;
  const usual = isGuest ? GUEST_RATE : HOST_RATE;
  const rate = wholeNumber(values.rate ?? String(usual), 1, 1_000_000);
  if (!(minutes > 0 && minutes <= 24 * 60) || rate === undefined) {
    refuse("soak: --minutes is above 0 and up to 1440, --rate 1 to 1000000", USAGE);
  }
  if (values.kernel !== undefined) return inGuest(values.kernel, minutes, rate);
  const say = (line: string) => process.stderr.write(`soak: ${line}\n`);
  const result = await soak({
    amount: { seconds: minutes * 60 },
    rate,
    roundSeconds: ROUND_SECONDS,
    withModule: values.module,
    say,
  });
  return report(result);
}

function inGuest(kernel: string, minutes: number, rate: number): number {
  const [vm, self] = ["../vm/run.js", "run.js"].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  ) as [string, string];
  spawnSync("make", ["-s", "-C", "test/bench"], { stdio: "inherit" });
  const limit = String(Math.round(2 * minutes * 60 + GUEST_SPARE_SECONDS));
  const command = [process.execPath, self, "--module", "--minutes", `${minutes}`];
  const args = [vm, "--kernel", kernel, "--timeout", limit, "--", ...command, "--rate", `${rate}`];
  return spawnSync(process.execPath, args, { stdio: "inherit" }).status ?? 1;
}

function report(result: SoakResult): number {
  const { rounds, loadSeconds, stops, connects, account, readers, lostInKernel, memory } = result;
  const write = (line: string) => process.stdout.write(`${line}\n`);
  write(`kernel ${release()}, Node ${process.version}`);
  write(`${rounds} rounds, ${loadSeconds.toFixed(0)} s under load; ${stops} times stopped`);
  write(`${connects} connects, ${(connects / loadSeconds).toFixed(0)} a second`);
  for (const [probe, counts] of account.probes) write(`${probe}: ${JSON.stringify(counts)}`);
  write(`readers told of ${lostInKernel} that were lost in the kernel: all of them`);
  write(
    `${readers.readers} readers: ${readers.events} events, ${readers.missed} missed and told so`,
  );
  const grown = growth(memory.settled);
  const rest = [memory.anonymous, memory.unsettled].map((of) => growth(of).toFixed(1));
  write(
    `resident memory: ${memory.settled.at(-1)?.toFixed(1)} MiB at the end, grown by ` +
      `${grown.toFixed(1)} MiB from the second to the last quarter (at most ${MAX_GROWTH_MIB}); ` +
      `anonymous ${rest[0]}, before collection ${rest[1]}`,
  );
  if (rounds < MIN_ROUNDS) write(`fewer than ${MIN_ROUNDS} rounds tell nothing about growth`);
  if (rounds < MIN_ROUNDS || grown < MAX_GROWTH_MIB) return 0;
  write("FAILED: memory grows");
  return 1;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: Error) => {
    process.stderr.write(`soak: FAILED: ${error.message}\n`);
    process.exitCode = 1;
  },
);
