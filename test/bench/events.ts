import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type DaemonProcess,
  pidsOf,
  type Running,
  start,
  stopDaemon,
} from "../support/commands.ts";
import { cpuNs } from "../support/cpu.ts";
import { metric } from "../support/feed.ts";
import { anonymousMiB } from "../support/memory.ts";
import { startAsService } from "./service.ts";
import type { Figure } from "./statistics.ts";

/** Below the rate at which the kernel side holds events back. */
const RATE = 3000;
const SECONDS = 15;
/** As many as a flood asks for; most are held back. */
const FLOOD_RATE = 20_000;
const SAMPLE_MS = 250;
const SETTLE_MS = 5000;
/** V8 compiles what it finds to run often, which a daemon has behind it for most of its life. */
const WARM_UP_SECONDS = 15;

/** CPU of both processes per event, and the memory of both under a flood. */
export async function benchEvents(): Promise<Figure[]> {
  const unit = "us CPU per event";
  const [alone, streamed] = await withDaemon(async (daemon) => {
    await connectAtRate(RATE, WARM_UP_SECONDS);
    const without = await cpuPerEvent(daemon);
    const reader = start("curl", ["--silent", "--output", "/dev/null", `${daemon.url}/events`]);
    const with_ = await cpuPerEvent(daemon);
    await endReader(reader);
    return [without, with_] as const;
  });
  const memory = await withDaemon(memoryInFlood);
  return [
    { name: `events: at ${RATE}/s, nobody streams`, value: alone, unit, aim: "<= 7" },
    { name: `events: at ${RATE}/s, with a stream`, value: streamed, unit },
    {
      name: `events: anonymous memory at ${FLOOD_RATE}/s asked`,
      value: memory,
      unit: "MiB",
      aim: "<= 80",
    },
  ];
}

async function withDaemon<T>(measure: (daemon: DaemonProcess) => Promise<T>): Promise<T> {
  const daemon = await startAsService();
  try {
    await sleep(SETTLE_MS);
    return await measure(daemon);
  } finally {
    await stopDaemon(daemon);
  }
}

/** us, of those events that are in the journal afterwards. */
async function cpuPerEvent(daemon: DaemonProcess): Promise<number> {
  const pids = pidsOf(daemon);
  await connectAtRate(RATE, 1);
  const before = { events: await appended(daemon.url), ns: cpuNs(pids) };
  await connectAtRate(RATE, SECONDS);
  const ns = cpuNs(pids) - before.ns;
  const events = (await appended(daemon.url)) - before.events;
  if (events < 0.99 * RATE * SECONDS) throw new Error(`only ${events} events`);
  return ns / 1000 / events;
}

async function memoryInFlood(daemon: DaemonProcess): Promise<number> {
  const pids = pidsOf(daemon);
  let most = 0;
  let isOver = false;
  const flood = connectAtRate(FLOOD_RATE, SECONDS).finally(() => {
    isOver = true;
  });
  while (!isOver) {
    most = Math.max(most, anonymousMiB(pids));
    await sleep(SAMPLE_MS);
  }
  await flood;
  return most;
}

async function connectAtRate(rate: number, seconds: number): Promise<void> {
  const { code, stderr } = await start("build/bench/connects", [
    String(rate * seconds),
    String(rate),
  ]).done;
  if (code !== 0) throw new Error(`connects: ${stderr}`);
}

async function appended(url: string): Promise<number> {
  const values = await metric(url, "tuplewatch_journal_appended_total");
  return [...values.values()].reduce((sum, value) => sum + value, 0);
}

async function endReader({ child }: Running): Promise<void> {
  const exit = once(child, "exit");
  child.kill("SIGTERM");
  await exit;
}
