import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { afterEach, beforeEach, describe, it } from "node:test";
import {
  curl,
  type DaemonProcess,
  servingPid,
  startDaemonProcess,
  stopDaemon,
} from "../../support/commands.ts";
import { metric } from "../../support/feed.ts";
import { until } from "../../support/until.ts";

const CONNECTIONS = 200;
const ENOUGH = 16384;

/** What the daemon does when it has no descriptor left. */
describe("a daemon without descriptors", () => {
  let daemon: DaemonProcess;
  const clients: Socket[] = [];

  beforeEach(async () => {
    daemon = await startDaemonProcess(["--backend", "counters"]);
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    await stopDaemon(daemon);
  });

  const inUse = () => readdirSync(`/proc/${servingPid(daemon)}/fd`).length;

  function limitTo(descriptors: number): void {
    const limit = `--nofile=${descriptors}:${ENOUGH}`;
    const pid = String(servingPid(daemon));
    // Its own user may: another takes CAP_SYS_RESOURCE, which containers lack (check_prlimit_permission).
    const uid = statSync(`/proc/${pid}`).uid;
    const user = [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
    execFileSync("setpriv", [...user, "prlimit", "--pid", pid, limit]);
  }

  /** Connections that ask nothing, until each is open or has been cut. */
  async function exhaust(): Promise<void> {
    const { port } = new URL(daemon.url);
    let seen = 0;
    for (let i = 0; i < CONNECTIONS; i++) {
      const client = connect({ host: "127.0.0.1", port: Number(port), localAddress: "127.0.0.2" });
      client.once("connect", () => seen++);
      client.on("error", () => {});
      client.resume();
      clients.push(client);
    }
    await until(() => seen === CONNECTIONS, "all have connected");
  }

  const healthz = async () => (await curl("--max-time", "5", `${daemon.url}/healthz`).done).stdout;
  const cut = async () =>
    (await metric(daemon.url, "tuplewatch_http_connections_cut_total")).get(
      '{reason="descriptors"}',
    );
  const open = () => clients.filter((client) => !client.closed).length;
  const complaints = () =>
    daemon
      .stderr()
      .split("\n")
      .filter((line) => line.includes("RLIMIT_NOFILE"));

  it("cuts and counts connections, says why once, and serves others meanwhile", async () => {
    const limit = inUse() + 40;
    limitTo(limit);
    await exhaust();
    assert.equal(await healthz(), '{"status":"ok"}\n');
    await until(async () => (await cut()) === CONNECTIONS - open(), "each that is cut is counted");
    assert.ok(open() > 0 && open() < 40, `${open()} are open`);
    const [complaint = "", ...more] = complaints();
    assert.deepEqual(more, []);
    assert.match(complaint, /"level":"error"/);
    const text = "accept a connection: too few descriptors are left";
    assert.ok(complaint.includes(`"${text} (RLIMIT_NOFILE is ${limit})"`), complaint);
    limitTo(ENOUGH);
    const before = await cut();
    await exhaust();
    assert.equal(await healthz(), '{"status":"ok"}\n');
    assert.equal(await cut(), before);
  });

  it("lives on where the limit sinks below what is in use", async () => {
    await exhaust();
    await until(() => inUse() > CONNECTIONS, "all are taken");
    const limit = inUse() - CONNECTIONS + 50;
    limitTo(limit);
    await until(async () => (await healthz()) === '{"status":"ok"}\n', "it answers again");
    // Which of the three meets the limit first is chance.
    const [complaint = ""] = complaints();
    const problem =
      /"((open|scandir) \/proc\/self\/\S+|(accept a connection|keep descriptors).*?): .*/;
    assert.match(complaint.replace(/.*"msg":/, ""), problem);
    assert.ok(complaint.includes(`(RLIMIT_NOFILE is ${limit})`), complaint);
    await until(async () => (await cut()) === CONNECTIONS - open(), "each that is cut is counted");
    assert.ok(open() < 50, `${open()} are open`);
    limitTo(ENOUGH);
    assert.equal(await healthz(), '{"status":"ok"}\n');
    assert.equal(daemon.child.exitCode, null);
  });
});
