import { setTimeout as sleep } from "node:timers/promises";
import { pidsOf, stopDaemon } from "../support/commands.ts";
import { cpuNs } from "../support/cpu.ts";
import { anonymousMiB, proportionalMiB } from "../support/memory.ts";
import { startAsService } from "./service.ts";
import type { Figure } from "./statistics.ts";

/** What starting left behind is collected by then. */
const SETTLE_MS = 10_000;
const WINDOW_MS = 30_000;

/** CPU and memory of a daemon that has nothing to do, of both its processes. */
export async function benchIdle(): Promise<Figure[]> {
  const daemon = await startAsService();
  const pids = pidsOf(daemon);
  const [watching, serving] = pids;
  const unit = "MiB";
  try {
    await sleep(SETTLE_MS);
    const before = cpuNs(pids);
    await sleep(WINDOW_MS);
    const percent = ((cpuNs(pids) - before) / (WINDOW_MS * 1e6)) * 100;
    return [
      { name: "idle: CPU over 30 s", value: percent, unit: "% of a core", aim: "<= 0.3" },
      { name: "idle: anonymous memory", value: anonymousMiB(pids), unit, aim: "<= 40" },
      { name: "idle: of it the privileged process", value: anonymousMiB([watching]), unit },
      { name: "idle: of it the serving process", value: anonymousMiB([serving]), unit },
      { name: "idle: with files, in part shared (PSS)", value: proportionalMiB(pids), unit },
    ];
  } finally {
    await stopDaemon(daemon);
  }
}
