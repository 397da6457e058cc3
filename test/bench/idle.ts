import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { pidsOf, startDaemonProcess } from "../support/commands.ts";
import { proportionalMiB } from "../support/memory.ts";
import type { Figure } from "./statistics.ts";

const SETTLE_MS = 3000;
const WINDOW_MS = 30_000;
const TICKS_PER_SECOND = 100; // USER_HZ, on every architecture that Node supports

/** CPU and memory of a daemon that has nothing to do, of both its processes. */
export async function benchIdle(): Promise<Figure[]> {
  const daemon = await startDaemonProcess();
  const pids = pidsOf(daemon);
  const ticks = () => pids.reduce((sum, pid) => sum + cpuTicks(pid), 0);
  try {
    await sleep(SETTLE_MS);
    const before = ticks();
    await sleep(WINDOW_MS);
    const seconds = (ticks() - before) / TICKS_PER_SECOND;
    const percent = (seconds / (WINDOW_MS / 1000)) * 100;
    return [
      { name: "idle: CPU over 30 s", value: percent, unit: "% of a core", aim: "<= 0.5" },
      { name: "idle: memory (PSS)", value: proportionalMiB(pids), unit: "MiB", aim: "<= 80" },
    ];
  } finally {
    daemon.child.kill("SIGTERM");
    await daemon.done;
  }
}

/** User and system time; the 14th and 15th field of proc(5)'s stat, counted after the name. */
function cpuTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return Number(fields[11]) + Number(fields[12]);
}
