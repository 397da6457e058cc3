import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { TestCgroup } from "../support/cgroup.ts";
import {
  type DaemonProcess,
  startDaemonProcess,
  stopDaemon,
  withoutReader,
} from "../support/commands.ts";
import { tally } from "../support/connects.ts";
import { conservation } from "../support/conservation.ts";
import { eventsOf } from "../support/feed.ts";
import { connectsInRing } from "../support/ring-records.ts";

const FITTING = connectsInRing(4096);

describe("every connect() is accounted for", () => {
  let cgroup: TestCgroup;

  before(() => {
    cgroup = new TestCgroup();
  });
  after(() => cgroup.delete());

  async function withDaemon(
    args: readonly string[],
    body: (daemon: DaemonProcess) => Promise<void>,
  ): Promise<void> {
    const daemon = await startDaemonProcess(["--cgroup", cgroup.path, ...args]);
    try {
      await body(daemon);
    } finally {
      await stopDaemon(daemon);
    }
  }

  test("when the ring overflows while the daemon is stopped, and afterwards it goes on", async () => {
    await withDaemon(["--ring-bytes", "4KiB", "--max-events-per-second", "0"], async (daemon) => {
      const flood = await withoutReader(daemon, () => cgroup.connects("ok", 500));
      const seen = await eventsOf(daemon.url, FITTING, { pid: String(flood.pid) });
      // The notice of the loss may be there already.
      assert.equal(tally(seen, "type").connect, FITTING);
      const { attempted, lost, filtered } = await conservation(daemon.url, "connect");
      assert.deepEqual(
        { attempted, lost, filtered },
        { attempted: 500, lost: 500 - FITTING, filtered: 0 },
      );
      const later = cgroup.connects("ok", 10);
      const after = await eventsOf(daemon.url, 11, { pid: String(later.pid) });
      assert.deepEqual(tally(after, "type"), { connect: 10, gap: 1 });
      assert.equal((await conservation(daemon.url, "connect")).attempted, 510);
      const gaps = await eventsOf(daemon.url, 1, { type: "gap" });
      assert.deepEqual(
        gaps.map(({ probe, where, missed }) => ({ probe, where, missed })),
        [{ probe: "connect", where: "kernel_ring", missed: 500 - FITTING }],
      );
    });
  });

  test("with --connect-events failed", async () => {
    await withDaemon(["--connect-events", "failed"], async (daemon) => {
      cgroup.connects("ok", 30);
      const { pid } = cgroup.connects("refused", 11);
      const events = await eventsOf(daemon.url, 11, { type: "connect" });
      assert.deepEqual(tally(events, "result"), { ECONNREFUSED: 11 });
      assert.ok(events.every(({ process }) => (process as { pid: number }).pid === pid));
      const { attempted, emitted, filtered } = await conservation(daemon.url, "connect");
      assert.deepEqual(
        { attempted, emitted, filtered },
        { attempted: 41, emitted: 11, filtered: 30 },
      );
    });
  });

  test("with --connect-events none", async () => {
    await withDaemon(["--connect-events", "none"], async (daemon) => {
      cgroup.connects("ok", 13);
      cgroup.connects("udp_ok", 17);
      const { attempted, emitted, filtered } = await conservation(daemon.url, "connect");
      assert.deepEqual(
        { attempted, emitted, filtered },
        { attempted: 30, emitted: 0, filtered: 30 },
      );
    });
  });

  test("when a rate limit holds back a flood, and a flood of successes no failure", async () => {
    await withDaemon(["--max-events-per-second", "10"], async (daemon) => {
      cgroup.connects("ok", 300);
      const failures = cgroup.connects("refused", 10);
      const failed = await eventsOf(daemon.url, 10, { pid: String(failures.pid) });
      assert.equal(tally(failed, "type").connect, 10);
      const { attempted, emitted, lost, filtered } = await conservation(daemon.url, "connect");
      assert.equal(attempted, 310);
      assert.equal(lost, 0);
      // At once one second's worth, then ten a second for as long as the flood lasted.
      assert.ok(emitted >= 20 && emitted < 60, `${emitted} emitted`);
      assert.equal(filtered, 310 - emitted);
    });
  });
});
