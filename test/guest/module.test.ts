import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { type TestContext, test } from "node:test";
import { getStatus } from "../support/api.ts";
import { type DaemonProcess, startDaemonProcess, stopDaemon } from "../support/commands.ts";
import {
  addModule,
  isLoaded,
  isRemoved,
  MODULE,
  removeModule,
} from "../support/conntrack-module.ts";
import { eventsOf } from "../support/feed.ts";
import { fetchAgain } from "../support/fetch.ts";
import { FAULTS } from "../support/netns.ts";
import { until } from "../support/until.ts";
import { sinceKernel } from "../vm/requires.ts";

const PROBE = "conntrack_insert_failed";
/** The daemon looks every second; a guest is slow. */
const FOLLOW_MS = 30_000;

type Daemon = DaemonProcess;

async function startWith(t: TestContext, backend: string): Promise<Daemon> {
  addModule();
  const daemon = await startDaemonProcess(["--probes", PROBE, "--backend", backend]);
  t.after(async () => {
    await stopDaemon(daemon);
  });
  assert.equal(await attachedBackend(daemon), backend);
  return daemon;
}

async function attachedBackend({ url }: Daemon): Promise<string | null> {
  const { kernel } = await getStatus(url);
  return kernel?.probes[0]?.backend ?? null;
}

/** Three flows onto one port are two events, in addition to those `before`. */
async function checkWorks(daemon: Daemon, before: number): Promise<void> {
  execFileSync("python3", [`${FAULTS}conntrack_faults.py`, "snat_udp"]);
  const events = await eventsOf(daemon.url, before + 2, { type: PROBE });
  assert.equal(events.length, before + 2);
  assert.ok(events.every(({ verdict, cause }) => verdict === "dropped" && cause === "clash"));
}

test("fentry keeps nf_conntrack in the kernel while the daemon runs", async (t) => {
  if (!sinceKernel(t, "6.1", "fentry attaches to modules")) return;
  const daemon = await startWith(t, "fentry");
  const { code, stderr } = await removeModule();
  assert.notEqual(code, 0);
  assert.match(stderr, /nf_conntrack is in use/);
  assert.equal(await attachedBackend(daemon), "fentry");
  await checkWorks(daemon, 0);
});

test("a kprobe lets it go, and is attached again when it is back", async (t) => {
  const daemon = await startWith(t, "kprobe");
  await checkWorks(daemon, 0);
  await until(isRemoved, `${MODULE} removed`, FOLLOW_MS);
  assert.ok(!isLoaded(MODULE));
  await until(async () => (await attachedBackend(daemon)) === null, "detached", FOLLOW_MS);
  assert.equal((await fetchAgain(`${daemon.url}/metrics`)).status, 200);
  addModule();
  await until(async () => (await attachedBackend(daemon)) === "kprobe", "attached", FOLLOW_MS);
  await checkWorks(daemon, 2);
});
