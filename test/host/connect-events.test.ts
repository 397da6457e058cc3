import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { getStatus } from "../support/api.ts";
import { TestCgroup } from "../support/cgroup.ts";
import { type DaemonProcess, startDaemonProcess, stopDaemon } from "../support/commands.ts";
import { tally } from "../support/connects.ts";
import { assertBalanced, balanced } from "../support/conservation.ts";
import { eventsOf, metric } from "../support/feed.ts";
import { until } from "../support/until.ts";

const OK = 1000;
const REFUSED = 100;
const ALL = OK + REFUSED;

/** Events of connects: exactly, or within. */
const EMITTED: Readonly<Record<string, readonly [least: number, most: number]>> = {
  all: [ALL, ALL],
  failed: [REFUSED, REFUSED],
  none: [0, 0],
  auto: [REFUSED, ALL],
};

describe("--connect-events", () => {
  let cgroup: TestCgroup;

  before(() => {
    cgroup = new TestCgroup();
  });
  after(() => cgroup.delete());

  async function withDaemon(mode: string, body: (daemon: DaemonProcess) => Promise<void>) {
    const limits = ["--max-events-per-second", "0", "--ring-bytes", "16MiB"];
    const args = ["--probes", "connect", "--cgroup", cgroup.path, "--connect-events", mode];
    const daemon = await startDaemonProcess([...args, ...limits]);
    try {
      await body(daemon);
    } finally {
      await stopDaemon(daemon);
    }
  }

  /** From its head on; returns what ends it. */
  async function openStream(url: string): Promise<() => void> {
    const controller = new AbortController();
    const { body } = await fetch(`${url}/events?type=connect`, { signal: controller.signal });
    body?.pipeTo(new WritableStream()).catch(() => {});
    return () => controller.abort();
  }

  for (const [mode, [least, most]] of Object.entries(EMITTED)) {
    test(`${mode}: every connect is counted, while streams come and go`, async () => {
      await withDaemon(mode, async ({ url }) => {
        const work = Promise.all([
          cgroup.connectsWhile("ok", OK),
          cgroup.connectsWhile("refused", REFUSED),
        ]);
        let isOver = false;
        work.finally(() => {
          isOver = true;
        });
        for (let round = 0; round < 3 || !isOver; round++) {
          const close = await openStream(url);
          await sleep(20);
          close();
        }
        await work;
        const { probes } = await balanced(url, ALL);
        const stages = probes.get("connect");
        assertBalanced("connect", stages);
        const { emitted, lost } = stages;
        assert.equal(lost, 0);
        assert.ok(emitted >= least && emitted <= most, `${emitted} events`);
        const seen = await eventsOf(url, emitted, { type: "connect" });
        assert.equal(seen.length, emitted);
        const { ok = 0, ECONNREFUSED = 0, ...others } = tally(seen, "result");
        assert.deepEqual([ok + ECONNREFUSED, others], [emitted, {}]);
        await checkMetrics(url);
      });
    });
  }

  /** Whatever became events. */
  async function checkMetrics(url: string): Promise<void> {
    const results = await metric(url, "tuplewatch_connect_events_total");
    const counted = [...results].filter(([, value]) => value > 0);
    assert.deepEqual(Object.fromEntries(counted), {
      '{protocol="tcp",result="ok",technique="plain"}': OK,
      '{protocol="tcp",result="ECONNREFUSED",technique="plain"}': REFUSED,
    });
    const durations = await metric(url, "tuplewatch_connect_duration_seconds_count");
    assert.equal(durations.get('{protocol="tcp",outcome="ok"}'), OK);
    assert.equal(durations.get('{protocol="tcp",outcome="failed"}'), REFUSED);
  }

  test("auto: connects are events from a stream's head to its end, and /status says so", async () => {
    await withDaemon("auto", async ({ url }) => {
      const ordinary = async () => (await getStatus(url)).connect_events.ordinary;
      cgroup.connects("ok", 7);
      assert.equal(await ordinary(), "counted");
      const close = await openStream(url);
      assert.equal(await ordinary(), "events");
      const { pid } = cgroup.connects("ok", 11);
      assert.equal((await eventsOf(url, 11, { pid: String(pid) })).length, 11);
      close();
      await until(async () => (await ordinary()) === "counted", "the end of the stream");
      const failed = cgroup.connects("refused", 3);
      assert.equal((await eventsOf(url, 3, { pid: String(failed.pid) })).length, 3);
      const { probes } = await balanced(url, 21);
      const { emitted, filtered } = probes.get("connect") ?? {};
      assert.deepEqual([emitted, filtered], [14, 7]);
    });
  });

  test("auto: what is more than ordinary is an event without a stream", async () => {
    await withDaemon("auto", async ({ url }) => {
      const locked = cgroup.connects("bind_before_connect", 5);
      const pair = cgroup.connects("udp_pair", 3);
      const seen = async (pid: number, count: number) =>
        (await eventsOf(url, count, { type: "connect", pid: String(pid) })).length;
      assert.equal(await seen(locked.pid, 5), 5);
      assert.equal(await seen(pair.pid, 3), 3);
    });
  });
});
