import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { getStatus } from "../../support/api.ts";
import { TestCgroup } from "../../support/cgroup.ts";
import {
  childrenOf,
  curl,
  type DaemonProcess,
  servingPid,
  startDaemonProcess,
  stopDaemon,
} from "../../support/commands.ts";
import { tally } from "../../support/connects.ts";
import { balanced, conservation } from "../../support/conservation.ts";
import { accountedFor } from "../../support/events.ts";
import { eventsOf, metric } from "../../support/feed.ts";
import { allFreed, held } from "../../support/kernel-objects.ts";
import { ResumingReader } from "../../support/resuming-reader.ts";
import { connectsInRing } from "../../support/ring-records.ts";
import { until } from "../../support/until.ts";

const KILLS = 8;
const CONNECTS = 10_000;
const CONNECTS_A_RUN = 250;

/** Sees only the test's connects, all of them, and has room for them while nobody reads. */
const ROOMY = ["--probes", "connect", "--ring-bytes", "8MiB", "--max-events-per-second", "0"];

let cgroup: TestCgroup;
before(() => {
  cgroup = new TestCgroup();
});
after(() => cgroup.delete());

const startOnCgroup = (...args: readonly string[]) =>
  startDaemonProcess(["--cgroup", cgroup.path, ...ROOMY, ...args]);

const restarts = async (url: string) =>
  (await metric(url, "tuplewatch_serving_process_restarts_total")).get("");

const isAlive = (pid: number) => existsSync(`/proc/${pid}`);

/** Another process serves, and its probes are read. */
async function served(daemon: DaemonProcess, before: number): Promise<void> {
  const isAnother = () => childrenOf(daemon).some((pid) => pid !== before);
  await until(isAnother, "another serving process");
  await until(
    async () => (await fetch(`${daemon.url}/readyz`).catch(() => undefined))?.status === 200,
    "it is ready",
  );
}

async function killServing(daemon: DaemonProcess): Promise<void> {
  const pid = servingPid(daemon);
  process.kill(pid, "SIGKILL");
  await served(daemon, pid);
}

describe("the serving process is killed", () => {
  let daemon: DaemonProcess | undefined;
  afterEach(async () => {
    if (daemon !== undefined) await stopDaemon(daemon);
    daemon = undefined;
  });

  it(`${KILLS} times under load: each connect() counts once, and has one number or is told as missed`, async () => {
    daemon = await startOnCgroup();
    const { url } = daemon;
    const reader = new ResumingReader(url);
    const pids = new Set<number>();
    let made = 0;
    let isKilling = true;
    const load = async () => {
      while (isKilling || made < CONNECTS) {
        const { pid, attempts } = await cgroup.connectsWhile("refused", CONNECTS_A_RUN);
        pids.add(pid);
        made += attempts.length;
      }
    };
    const kill = async (running: DaemonProcess) => {
      // Who has seen nothing leaves nothing to be told.
      await until(() => reader.lastSeq > 0, "the load");
      for (let kills = 1; kills <= KILLS; kills++) {
        await sleep(400 * Math.random());
        await killServing(running);
        const told = () => `new life ${kills} of ${reader.gaps("restart").length} told`;
        await until(() => reader.gaps("restart").length === kills, told, 20_000);
      }
    };
    const killing = kill(daemon).finally(() => {
      isKilling = false;
    });
    await Promise.all([load(), killing]);
    const { probes, appended } = await balanced(url, made);
    await until(() => reader.lastSeq === appended, "all is read");
    await reader.stop();

    const { lost, filtered, malformed, delivered } = probes.get("connect") ?? {};
    const counts = { lost, filtered, malformed, delivered, appended };
    const each = { delivered: made, appended: made };
    assert.deepEqual(counts, { lost: 0, filtered: 0, malformed: 0, ...each });
    assert.equal(await restarts(url), KILLS);
    assert.equal(reader.gaps("restart").length, KILLS);

    assert.equal(accountedFor(reader.events, 1), made);
    const seen = reader.events.filter(({ type }) => type === "connect");
    const missed = reader.gaps("journal").reduce((sum, gap) => sum + (gap.missed ?? 0), 0);
    assert.equal(seen.length + missed, made, `${missed} missed`);
    assert.ok(seen.every(({ process }) => pids.has((process as { pid: number }).pid)));
    const sockets = new Set(seen.map(({ socket_cookie }) => socket_cookie));
    assert.equal(sockets.size, seen.length, "one event for each socket");
  });

  it("with a full ring: what was lost until then is told by the next one", async () => {
    const small = ["--ring-bytes", "4KiB"];
    daemon = await startOnCgroup(...small);
    const pid = servingPid(daemon);
    process.kill(pid, "SIGSTOP");
    cgroup.connects("refused", 500);
    process.kill(pid, "SIGKILL");
    await served(daemon, pid);
    const lost = 500 - connectsInRing(4096);
    await eventsOf(daemon.url, 500 - lost, { type: "connect" });
    const lossesTold = async (url: string) =>
      (await eventsOf(url, 1, { type: "gap" }))
        .filter(({ where }) => where === "kernel_ring")
        .map(({ missed }) => missed);
    const { url } = daemon;
    await until(async () => (await lossesTold(url)).length > 0, "the loss is told");
    assert.deepEqual(await lossesTold(url), [lost]);
    assert.equal((await conservation(url, "connect")).lost, lost);
    await killServing(daemon);
    await sleep(1500);
    assert.deepEqual(await lossesTold(url), [], "told once");
  });

  it("and the next one has the same listeners, access, settings, numbers and start", async (t) => {
    const directory = mkdtempSync(join(tmpdir(), "tuplewatch-lives-"));
    t.after(() => rmSync(directory, { recursive: true }));
    const socket = join(directory, "watch.sock");
    const tokens = join(directory, "tokens");
    const settings = join(directory, "settings.yaml");
    writeFileSync(tokens, "the-first-of-two-tokens\n", { mode: 0o644 });
    writeFileSync(settings, "log_level: info\n");
    const listeners = ["--listen", "127.0.0.1:0", "--listen", `unix:${socket}`];
    const running = await startOnCgroup(
      ...[...listeners, "--bearer-token-file", tokens, "--config", settings],
    );
    daemon = running;
    writeFileSync(tokens, "the-second-of-two-tokens\n");
    writeFileSync(settings, "journal_events: 7\n");
    running.child.kill("SIGHUP");
    await until(() => running.stderr().includes("settings were read again"), "SIGHUP");

    const ask = async (path: string, ...args: string[]) =>
      (await curl(...args, "--write-out", "%{http_code}", "--output", "/dev/null", path).done)
        .stdout;
    const bearer = (which: string) => [
      "--header",
      `authorization: Bearer the-${which}-of-two-tokens`,
    ];
    const answers = async () => [
      await ask(`${running.url}/status`, ...bearer("first")),
      await ask(`${running.url}/status`, ...bearer("second")),
      await ask("http://localhost/status", "--unix-socket", socket),
      await ask("http://localhost/status", "--unix-socket", socket, ...bearer("second")),
    ];
    const status = async () => {
      const { stdout } = await curl(...bearer("second"), `${running.url}/status`).done;
      return JSON.parse(stdout) as Awaited<ReturnType<typeof getStatus>>;
    };
    const answersBefore = await answers();
    assert.deepEqual(answersBefore.slice(0, 2), ["401", "200"]);
    cgroup.connects("refused", 30);
    await until(async () => (await status()).journal.next_seq === 31, "30 events");
    const statusBefore = await status();
    const pid = servingPid(running);
    await sleep(1000);
    process.kill(pid, "SIGKILL");
    await until(() => childrenOf(running).some((one) => one !== pid), "another serving process");
    await until(async () => (await status()).ready.ok, "it is ready");

    assert.deepEqual(await answers(), answersBefore);
    cgroup.connects("refused", 20);
    await until(async () => (await status()).journal.next_seq === 51, "20 more");
    const { started_at, uptime_seconds, journal } = await status();
    assert.equal(started_at, statusBefore.started_at);
    assert.ok(uptime_seconds > statusBefore.uptime_seconds, `${uptime_seconds} s`);
    assert.ok(journal.events <= 20, "as before it keeps 7, or the newest batch");
    const since = `${running.url}/events?since=30&follow=false`;
    const { stdout } = await curl(...bearer("second"), since).done;
    const events = stdout.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
    assert.equal(accountedFor(events, 31), 50);
  });
});

describe("the serving process is stopped (SIGSTOP)", () => {
  let daemon: DaemonProcess;
  beforeEach(async () => {
    daemon = await startOnCgroup();
  });

  it("is ended and another one started, which reads all that came meanwhile", async () => {
    const pid = servingPid(daemon);
    process.kill(pid, "SIGSTOP");
    const { pid: load } = cgroup.connects("refused", 700);
    await served(daemon, pid);
    assert.ok(!isAlive(pid));
    assert.match(daemon.stderr(), /it gives no sign of life/);
    const events = await eventsOf(daemon.url, 700, { type: "connect", pid: String(load) });
    assert.deepEqual(
      events.map(({ seq }) => seq),
      Array.from({ length: 700 }, (_, index) => index + 1),
    );
    await balanced(daemon.url, 700);
    assert.equal(await restarts(daemon.url), 1);
    await stopDaemon(daemon);
  });

  it("does not keep the daemon from ending in time, with nothing left behind", async () => {
    const parent = daemon.child.pid as number;
    const pid = servingPid(daemon);
    const links = held("link", parent);
    assert.ok(links.length > 0);
    process.kill(pid, "SIGSTOP");
    const startedMs = performance.now();
    await stopDaemon(daemon);
    const tookMs = performance.now() - startedMs;
    assert.ok(tookMs < 5500, `${tookMs} ms`);
    assert.ok(!isAlive(pid));
    await allFreed("link", links);
  });
});

describe("the privileged process", () => {
  it("is killed under load: all ends with it, and the next daemon sees each connect() once", async () => {
    const daemon = await startOnCgroup();
    const parent = daemon.child.pid as number;
    const serving = servingPid(daemon);
    const [links, programs] = [held("link", parent), held("prog", parent)];
    assert.ok(links.length > 0 && programs.length > 0);
    const load = cgroup.connectsWhile("refused", 5000);
    await until(
      async () => (await conservation(daemon.url, "connect").catch(() => undefined))?.read !== 0,
      "the load is seen",
    );
    daemon.child.kill("SIGKILL");
    await until(() => !isAlive(serving), "the serving process ends as well", 5000);
    await daemon.done;
    await allFreed("link", links);
    await allFreed("prog", programs);
    await load;
    const next = await startOnCgroup();
    const { pid } = cgroup.connects("refused", 321);
    const events = await eventsOf(next.url, 321, { type: "connect" });
    assert.deepEqual(tally(events, "result"), { ECONNREFUSED: 321 });
    assert.ok(events.every(({ process }) => (process as { pid: number }).pid === pid));
    await balanced(next.url, 321);
    await stopDaemon(next);
  });

  it("is stopped (SIGSTOP): events and answers go on, and metrics once it runs again", async () => {
    const daemon = await startOnCgroup();
    const serving = servingPid(daemon);
    const reader = new ResumingReader(daemon.url);
    await until(() => reader.streams === 1, "the stream");
    daemon.child.kill("SIGSTOP");
    try {
      const until3s = performance.now() + 3000;
      let made = 0;
      while (performance.now() < until3s) {
        made += (await cgroup.connectsWhile("refused", 100)).attempts.length;
        const { stdout } = await curl("--max-time", "2", `${daemon.url}/healthz`).done;
        assert.equal(stdout, '{"status":"ok"}\n');
        await until(
          () => reader.lastSeq === made,
          () => `${reader.lastSeq} of ${made} events`,
          2000,
        );
      }
      daemon.child.kill("SIGCONT");
      await balanced(daemon.url, made);
    } finally {
      daemon.child.kill("SIGCONT");
    }
    await reader.stop();
    assert.equal(reader.streams, 1);
    assert.equal(servingPid(daemon), serving);
    assert.equal(await restarts(daemon.url), 0);
    await stopDaemon(daemon);
  });
});
