import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import type { ReadyBody } from "../../../src/http/openapi/answers.schema.ts";
import { TestCgroup } from "../../support/cgroup.ts";
import {
  type DaemonProcess,
  startDaemonProcess,
  stopDaemon,
  tuplewatch,
  withoutReader,
} from "../../support/commands.ts";
import { conservation } from "../../support/conservation.ts";
import { checkAnswer } from "../../support/documented.ts";
import { eventsOf, metric } from "../../support/feed.ts";
import { connectsInRing } from "../../support/ring-records.ts";
import { until } from "../../support/until.ts";

type Blind = NonNullable<ReadyBody["blind"]>[number];

async function ready(url: string): Promise<{ status: number; body: ReadyBody }> {
  const answer = await fetch(`${url}/readyz`);
  const body = (await answer.json()) as ReadyBody;
  checkAnswer("/readyz", body);
  return { status: answer.status, body };
}

async function blindness(url: string): Promise<Blind | undefined> {
  return (await ready(url)).body.blind?.find(({ probe }) => probe === "connect");
}

async function gauge(url: string, cause: string): Promise<number | undefined> {
  return (await metric(url, "tuplewatch_probe_blind")).get(`{probe="connect",cause="${cause}"}`);
}

function lines(daemon: DaemonProcess, message: string): number {
  return daemon.stderr().split(message).length - 1;
}

/** Ids of the daemon's links to cgroups. */
function cgroupLinks(pid: number): number[] {
  return readdirSync(`/proc/${pid}/fdinfo`).flatMap((fd) => {
    const text = readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8");
    const id = /^link_type:\tcgroup\nlink_id:\t(\d+)$/m.exec(text)?.[1];
    return id === undefined ? [] : [Number(id)];
  });
}

const LOST = 500 - connectsInRing(4096);

describe("a probe that is attached and does not see", () => {
  let cgroup: TestCgroup;
  before(() => {
    cgroup = new TestCgroup();
  });
  after(() => cgroup.delete());

  async function withDaemon(
    args: readonly string[],
    body: (daemon: DaemonProcess) => Promise<void>,
  ): Promise<void> {
    const common = ["--probes", "connect", "--cgroup", cgroup.path];
    const daemon = await startDaemonProcess([...common, ...args]);
    try {
      assert.equal(await blindness(daemon.url), undefined);
      await body(daemon);
    } finally {
      await stopDaemon(daemon);
    }
  }

  /** As every probe is blind, there is none: it is the only one. */
  async function checkTold(daemon: DaemonProcess, cause: Blind["cause"], reason: RegExp) {
    // A look may come before the last of the events.
    let last: string | undefined;
    const isTold = async () => {
      last = (await blindness(daemon.url))?.reason;
      return last !== undefined && reason.test(last);
    };
    await until(isTold, () => `blind, with its reason: ${last}`);
    const { status, body } = await ready(daemon.url);
    assert.deepEqual([status, body.reason], [503, "every probe is blind"]);
    const told = await blindness(daemon.url);
    assert.equal(told?.cause, cause);
    assert.equal(await gauge(daemon.url, cause), 1);
    assert.equal(lines(daemon, '"the probe is blind"'), 1);
    const tail = await tuplewatch(["tail", "--no-follow", "--url", daemon.url]).done;
    assert.match(tail.stderr, /^tuplewatch: connect is blind: /m);
    return tail.stdout;
  }

  async function checkSeesAgain(daemon: DaemonProcess, cause: Blind["cause"]) {
    await until(async () => (await blindness(daemon.url)) === undefined, "it sees again");
    assert.equal((await ready(daemon.url)).status, 200);
    assert.equal(await gauge(daemon.url, cause), 0);
    assert.equal(lines(daemon, '"the probe sees again"'), 1);
  }

  it("because of its rate limit says so, and each held back event is in a gap", async () => {
    await withDaemon(["--max-events-per-second", "10"], async (daemon) => {
      cgroup.connects("ok", 300);
      const shown = await checkTold(daemon, "rate_limited", /^\d+ of 300 events in the last 10 s/);
      assert.match(shown, /gap .* events missed {2}rate_limit {2}connect/);
      await checkSeesAgain(daemon, "rate_limited");
      const { filtered } = await conservation(daemon.url, "connect");
      const gaps = await eventsOf(daemon.url, 1, { type: "gap" });
      const missed = gaps.map((gap) => gap.missed as number);
      assert.equal(
        missed.reduce((sum, one) => sum + one, 0),
        filtered,
      );
      assert.ok(gaps.every(({ where }) => where === "rate_limit"));
    });
  });

  it("because its ring was full says so", async () => {
    await withDaemon(["--ring-bytes", "4KiB", "--max-events-per-second", "0"], async (daemon) => {
      await withoutReader(daemon, () => cgroup.connects("ok", 500));
      const shown = await checkTold(
        daemon,
        "lost",
        new RegExp(`^${LOST} of 500 events in the last 10 s were lost`),
      );
      assert.match(shown, new RegExp(`gap .* ${LOST} events missed {2}kernel_ring {2}connect`));
      await checkSeesAgain(daemon, "lost");
    });
  });

  it("because another process has detached it says so", async () => {
    await withDaemon([], async (daemon) => {
      const [link] = cgroupLinks(daemon.child.pid as number);
      execFileSync("bpftool", ["link", "detach", "id", String(link)]);
      const shown = await checkTold(daemon, "detached", /^another process has detached \w+$/);
      assert.match(shown, /gap .* events missed {2}detached {2}connect/);
    });
  });

  it("by settings is as its user wants it", async () => {
    await withDaemon(["--connect-events", "failed"], async (daemon) => {
      cgroup.connects("ok", 300);
      await until(async () => (await conservation(daemon.url, "connect")).filtered === 300, "all");
      // A look later.
      await new Promise((resolve) => setTimeout(resolve, 2500));
      assert.equal(await blindness(daemon.url), undefined);
      assert.equal((await ready(daemon.url)).status, 200);
    });
  });
});
