// Fails when a cycle costs more than its budget: a part of npm test. What is measured is exact, so
// this depends on no machine's speed.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { quickLine } from "./bench.ts";
import { measureInGuest, ratioOf } from "./guests.ts";
import { ALL_PROBES, TCPCONNECT } from "./plan.ts";

const BUDGET = fileURLToPath(
  new URL("../../../../test/bench/instructions/budget.json", import.meta.url),
);
/** Over boots a ratio differs by less. */
const TOLERANCE = 1.03;

interface Budget {
  readonly kernel: string;
  /** Instructions of a cycle beside all probes, as a multiple of those without a daemon. */
  readonly ratios: Readonly<Record<string, number>>;
}

async function main(): Promise<number> {
  const { kernel, ratios } = JSON.parse(readFileSync(BUDGET, "utf8")) as Budget;
  execFileSync("make", ["--no-print-directory", "-s", "-C", "test/bench"], { stdio: "inherit" });
  const result = await measureInGuest(kernel, "quick", false);
  process.stdout.write(`${quickLine(result)}\n`);
  const peer = ratioOf(result, TCPCONNECT, "tcp_ok");
  const over = Object.entries({ ...ratios, tcp_ok: Math.min(ratios.tcp_ok ?? peer, peer) })
    .map(([cycle, budget]) => ({ cycle, budget, ratio: ratioOf(result, ALL_PROBES, cycle) }))
    .filter(({ budget, ratio }) => !(ratio <= budget * TOLERANCE));
  for (const { cycle, budget, ratio } of over) {
    process.stderr.write(
      `instructions: ${cycle}: ${ratio.toFixed(3)} times what it costs alone; budget ${budget}\n`,
    );
  }
  return over.length === 0 ? 0 : 1;
}

process.exitCode = await main();
