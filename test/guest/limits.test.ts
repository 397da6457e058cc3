import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { TestCgroup } from "../support/cgroup.ts";
import { pidsOf, startDaemonProcess, stopDaemon } from "../support/commands.ts";
import { conservation } from "../support/conservation.ts";
import { until } from "../support/until.ts";

const ROOT = "/sys/fs/cgroup";
const CONNECTS = 1500;
/** A quarter of a CPU, and half of the memory that the unit allows (MemoryMax=). */
const LIMITS = { "cpu.max": "25000 100000", "memory.max": String(256 << 20) };
const SETTLE_MS = 300_000;

/** Only a guest has the version 2 hierarchy to itself. */
describe("a daemon that gets little CPU and memory", () => {
  test("loses no event without counting it, and answers", async (t) => {
    writeFileSync(`${ROOT}/cgroup.subtree_control`, "+cpu +memory");
    const poor = `${ROOT}/tw-poor`;
    mkdirSync(poor, { recursive: true });
    const watched = new TestCgroup();
    const args = ["--probes", "connect", "--cgroup", watched.path, "--ring-bytes", "64KiB"];
    const daemon = await startDaemonProcess([...args, "--max-events-per-second", "0"]);
    t.after(() => watched.delete());
    for (const [file, limit] of Object.entries(LIMITS)) writeFileSync(`${poor}/${file}`, limit);
    for (const pid of pidsOf(daemon)) writeFileSync(`${poor}/cgroup.procs`, String(pid));
    watched.connects("ok", CONNECTS);
    const account = async () => conservation(daemon.url, "connect").catch(() => undefined);
    await until(async () => (await account())?.attempted === CONNECTS, "accounted for", SETTLE_MS);
    const told = await conservation(daemon.url, "connect");
    assert.equal(told.emitted + told.lost, CONNECTS, JSON.stringify(told));
    assert.match(readFileSync(`${poor}/memory.events`, "utf8"), /^oom_kill 0$/m);
    writeFileSync(`${poor}/cpu.max`, "max");
    await stopDaemon(daemon);
  });
});
