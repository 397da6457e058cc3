import { execFileSync } from "node:child_process";
import { startDaemonProcess } from "../support/commands.ts";
import { metric } from "../support/feed.ts";
import type { Figure } from "./statistics.ts";

const CONNECTS = 20_000;

/**
 * Runs of each BPF program per loopback connection and time per run, by the kernel's own
 * statistics; the two clock reads that these take are part of the time.
 */
export async function benchPrograms(): Promise<Figure[]> {
  const daemon = await startDaemonProcess(["--program-stats", "on"]);
  try {
    const before = await read(daemon.url);
    execFileSync("build/bench/connects", [String(CONNECTS)]);
    const after = await read(daemon.url);
    return [...after].flatMap(([program, { runs, seconds }]) => {
      const ran = runs - (before.get(program)?.runs ?? 0);
      const took = seconds - (before.get(program)?.seconds ?? 0);
      if (ran < CONNECTS / 2) return [];
      return [
        { name: `${program}: runs`, value: ran / CONNECTS, unit: "per connection" },
        { name: `${program}: time`, value: (took / ran) * 1e9, unit: "ns per run" },
      ];
    });
  } finally {
    daemon.child.kill("SIGTERM");
    await daemon.done;
  }
}

async function read(url: string): Promise<Map<string, { runs: number; seconds: number }>> {
  const runs = await metric(url, "tuplewatch_program_runs_total");
  const seconds = await metric(url, "tuplewatch_program_run_seconds_total");
  return new Map(
    [...runs].map(([program, count]) => [
      program,
      { runs: count, seconds: seconds.get(program) ?? 0 },
    ]),
  );
}
