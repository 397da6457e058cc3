import assert from "node:assert/strict";
import { mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { getStatus } from "../support/api.ts";
import { TestCgroup } from "../support/cgroup.ts";
import {
  type DaemonProcess,
  type Running,
  start,
  startDaemonProcess,
  stopDaemon,
} from "../support/commands.ts";
import { tally } from "../support/connects.ts";
import { balanced, conservation } from "../support/conservation.ts";
import { eventsOf } from "../support/feed.ts";
import { FAULTS } from "../support/netns.ts";
import { until } from "../support/until.ts";

/** More than `attempts` has room for (bpf/connect/attempts_in_table.h). */
const HELD = 35_000;
const TABLE = 32_768;
/** A user that nobody else has. */
const UID = 61_234;
const VICTIMS = 20;
const FLOOD = 4000;

describe("one who floods the connect probe does not silence another", () => {
  let watched: TestCgroup;
  let flooding = "";
  const floods: Running[] = [];

  before(() => {
    watched = new TestCgroup();
    flooding = join(watched.path, "flood");
    mkdirSync(flooding);
  });
  after(async () => {
    for (const { child, done } of floods) {
      child.stdin?.end();
      await done;
    }
    rmdirSync(flooding);
    watched.delete();
  });

  function flood(...command: string[]) {
    const script = `echo $$ > "${flooding}/cgroup.procs" && ip link set lo up && exec "$@"`;
    const args = ["--net", "sh", "-c", script, "sh", ...command];
    const running = start("unshare", args, {}, "", { keepsInput: true });
    floods.push(running);
    return running;
  }

  async function withDaemon(
    args: readonly string[],
    body: (daemon: DaemonProcess) => Promise<void>,
  ): Promise<void> {
    const daemon = await startDaemonProcess(["--cgroup", watched.path, ...args]);
    try {
      await body(daemon);
    } finally {
      await stopDaemon(daemon);
    }
  }

  async function checkVictims(url: string): Promise<void> {
    const { pid } = watched.connects("refused", VICTIMS);
    const seen = await eventsOf(url, VICTIMS, { pid: String(pid), type: "connect" });
    assert.equal(tally(seen, "result").ECONNREFUSED, VICTIMS);
  }

  for (const backend of ["syscall_tracepoint", "tcp_state"]) {
    test(`with ${HELD} connects that nobody answers, by ${backend}`, async () => {
      const args = ["--probes", "connect", "--backend", backend, "--max-events-per-second", "0"];
      await withDaemon([...args, "--ring-bytes", "16MiB"], async ({ url }) => {
        const script = `${FAULTS}held_syns.py`;
        const { child, done, stdout, stderr } = flood("python3", script, `${HELD}`, `${UID}`);
        await until(() => stdout() !== "" || child.exitCode !== null, "the flood");
        assert.equal(stdout(), `{"held": ${HELD}}\n`, stderr());
        await checkVictims(url);
        const { lost } = await conservation(url, "connect");
        // In their own sockets all of them have room; of the table nobody gets more than half.
        assert.equal(lost, backend === "tcp_state" ? 0 : HELD - TABLE / 2);
        child.stdin?.end();
        await done;
        const { probes } = await balanced(url, HELD + VICTIMS);
        assert.equal(probes.get("connect")?.lost, lost);
      });
    });
  }

  test(`with ${FLOOD} failures, of which the limit lets few pass`, async () => {
    const args = ["--probes", "connect", "--max-events-per-second", "100"];
    await withDaemon(args, async ({ url }) => {
      const script = `${FAULTS}connects.py`;
      const { child, done } = flood("python3", script, "refused", `${FLOOD}`);
      child.stdin?.end();
      assert.equal((await done).code, 0);
      await checkVictims(url);
      const { attempted, emitted, filtered } = await conservation(url, "connect");
      assert.equal(attempted, FLOOD + VICTIMS);
      assert.equal(filtered, FLOOD + VICTIMS - emitted);
      assert.ok(filtered > FLOOD / 2, `only ${filtered} were above the limit`);
      const [probe] = (await getStatus(url)).kernel?.probes ?? [];
      assert.deepEqual([probe?.rate_limited, probe?.rate_limited_ordinary], [filtered, 0]);
    });
  });
});
