import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import type { FindingJson } from "../../src/findings/finding.ts";
import { getFindings, getStatus } from "../support/api.ts";
import { suiteDaemon } from "../support/commands.ts";
import { eventsOf } from "../support/feed.ts";
import { Netns } from "../support/netns.ts";
import { until } from "../support/until.ts";

/** Far less than the clock is set by, and more than the test takes. */
const QUIET_SECONDS = 1800;
const STEPS_SECONDS = [3600, -7200, 3600];

/** An event is told within moments of when it happened; a busy guest needs many. */
const NOW_MS = 120_000;

const SET_CLOCK =
  "import sys, time; time.clock_settime(time.CLOCK_REALTIME, time.time() + int(sys.argv[1]))";

function isNow(time: string): boolean {
  return Math.abs(Date.parse(time) - Date.now()) < NOW_MS;
}

/** Only in a guest is the clock the test's to set. */
describe("a clock that is set while the daemon runs", () => {
  const daemon = suiteDaemon([
    "--probes",
    "connect",
    "--finding-quiet-seconds",
    String(QUIET_SECONDS),
  ]);
  let netns: Netns;
  let setBySeconds = 0;

  before(() => {
    netns = new Netns();
    netns.sysctl("net.ipv4.ip_local_port_range", "30000\t30005");
  });
  after(() => {
    netns.delete();
    // What other tests of this guest see must not depend on where this one failed.
    if (setBySeconds !== 0) setClock(-setBySeconds);
  });

  function setClock(bySeconds: number): void {
    execFileSync("python3", ["-c", SET_CLOCK, String(bySeconds)]);
    setBySeconds += bySeconds;
  }

  async function fail(): Promise<void> {
    netns.exec("python3", "test/faults/connects.py", "exhausted", "12");
  }

  async function finding(): Promise<FindingJson> {
    const found = await getFindings(daemon.url, "state=all");
    assert.deepEqual(
      found.map(({ state, kind }) => [state, kind]),
      [["active", "local_port_exhaustion"]],
    );
    return found[0] as FindingJson;
  }

  test("events have the time that it shows, findings stay open, uptime goes on", async () => {
    await fail();
    await until(async () => (await getFindings(daemon.url)).length > 0, "a finding");
    let failures = 6;
    let { uptime_seconds: uptime } = await getStatus(daemon.url);
    for (const [index, seconds] of STEPS_SECONDS.entries()) {
      setClock(seconds);
      const told = () => daemon.stderr().match(/the wall clock was set/g)?.length ?? 0;
      await until(() => told() === index + 1, "the log tells that the clock was set");
      await fail();
      failures += 6;
      const query = { netns: String(netns.inum), result: "EADDRNOTAVAIL" };
      const events = await eventsOf(daemon.url, failures, query);
      const time = events.at(-1)?.time;
      assert.ok(isNow(String(time)), `${time} is ${new Date().toISOString()}`);
      await until(async () => (await finding()).count === failures, "the finding has all of them");
      const { first_seen, last_seen } = await finding();
      assert.ok(isNow(last_seen) && first_seen <= last_seen, `${first_seen} to ${last_seen}`);
      const status = await getStatus(daemon.url);
      assert.ok(status.uptime_seconds >= uptime && status.uptime_seconds - uptime < 600);
      uptime = status.uptime_seconds;
    }
  });
});
