import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { PortReport } from "../../src/ports/report.schema.ts";
import { servingPid, startDaemonProcess, tuplewatch } from "../support/commands.ts";
import { seesConnect } from "../support/connects.ts";
import { metric } from "../support/feed.ts";
import { Netns } from "../support/netns.ts";
import { until } from "../support/until.ts";

type Daemon = Awaited<ReturnType<typeof startDaemonProcess>>;

const NOBODY = 65534;
const KEPT = [
  "CAP_DAC_READ_SEARCH",
  "CAP_KILL",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_NET_ADMIN",
  "CAP_SYS_PTRACE",
  "CAP_SYS_ADMIN",
  "CAP_PERFMON",
  "CAP_BPF",
];

/** One field of each thread's status, the main thread's first. */
function ofThreads(pid: number, field: string): string[] {
  return readdirSync(`/proc/${pid}/task`)
    .sort((one, other) => Number(one) - Number(other))
    .map((thread) => {
      const status = readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8");
      return new RegExp(`^${field}:\\s*(.*)$`, "m").exec(status)?.[1] ?? "";
    });
}

function userOf(pid: string): number | undefined {
  return statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid;
}

async function privilegesOf({ url }: { url: string }): Promise<Record<string, unknown>> {
  const status = (await (await fetch(`${url}/status`)).json()) as { privileges: object };
  return { ...status.privileges };
}

async function stop({ child, done, stderr }: Daemon): Promise<void> {
  child.kill("SIGTERM");
  assert.equal((await done).code, 0, stderr());
}

describe("a daemon of root, once it serves,", () => {
  let daemon: Daemon;
  before(async () => {
    daemon = await startDaemonProcess();
  });
  after(() => stop(daemon));

  test("is a user on all threads whom nobody else has", () => {
    const pid = daemon.child.pid as number;
    const [uids = "", ...others] = new Set(ofThreads(pid, "Uid"));
    assert.deepEqual(others, []);
    const uid = Number(uids.split("\t")[0]);
    assert.equal(uids, Array(4).fill(uid).join("\t"));
    assert.ok(uid >= 60706 && uid <= 61183, uids);
    assert.equal(spawnSync("getent", ["passwd", String(uid)]).status, 2);
    const same = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && userOf(name) === uid);
    assert.deepEqual(same, [String(pid)]);
  });

  test("cannot be made to open Node's debugger", async () => {
    const pid = String(daemon.child.pid);
    const nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "kill", "-USR1", pid];
    const { stderr } = spawnSync("setpriv", nobody, { encoding: "utf8" });
    assert.match(stderr, /not permitted/);
    process.kill(Number(pid), "SIGUSR1");
    await seesConnect(daemon);
    const listening = readFileSync(`/proc/${pid}/net/tcp`, "utf8");
    assert.doesNotMatch(listening, /^ *\d+: 0100007F:2405 00000000:0000 0A/m, "port 9229");
    assert.doesNotMatch(daemon.stderr(), /Debugger listening/);
  });

  test("has capabilities on its main thread only, and only those that it still needs", async () => {
    const [main, ...others] = ofThreads(daemon.child.pid as number, "CapPrm");
    assert.ok(others.length > 3);
    assert.deepEqual([...new Set(others)].map(Number), [0]);
    assert.equal(main, "000000c0002810e4");
    assert.equal(ofThreads(daemon.child.pid as number, "CapEff")[0], main);
    // Of CAP_SETUID and CAP_SETGID: what it starts may become the user that serves.
    assert.equal(ofThreads(daemon.child.pid as number, "CapBnd")[0], "00000000000000c0");
    for (const field of ["CapInh", "CapAmb"]) {
      assert.equal(Number(ofThreads(daemon.child.pid as number, field)[0]), 0);
    }
    assert.equal(ofThreads(daemon.child.pid as number, "NoNewPrivs")[0], "1");
    const without = {};
    const { uid, serving_uid: servingUid, ...rest } = await privilegesOf(daemon);
    assert.equal(uid, userOf(String(daemon.child.pid)));
    assert.equal(servingUid, userOf(String(servingPid(daemon))));
    assert.deepEqual(rest, { capabilities: KEPT, without });
  });

  test("still sees connects, and the holders of ports of other users", async () => {
    await seesConnect(daemon);
    const answer = await (await fetch(`${daemon.url}/ports`)).json();
    const text = JSON.stringify(answer);
    assert.match(text, new RegExp(`"pid":${process.pid}\\b`));
  });
});

describe("--keep-capabilities none", () => {
  let daemon: Daemon;
  before(async () => {
    daemon = await startDaemonProcess(["--keep-capabilities", "none"]);
  });
  after(() => stop(daemon));

  test("leaves none, and says what does not work without", async () => {
    for (const field of ["CapPrm", "CapEff"]) {
      assert.deepEqual([...new Set(ofThreads(daemon.child.pid as number, field))].map(Number), [0]);
    }
    const { capabilities, without } = await privilegesOf(daemon);
    assert.deepEqual(capabilities, []);
    assert.deepEqual(Object.keys(without as object).sort(), [...KEPT].sort());
  });

  test("still sees connects, counts ports of its own namespace, and complains once", async () => {
    await seesConnect(daemon);
    const inUse = () => metric(daemon.url, "tuplewatch_local_ports_in_use");
    await until(async () => (await inUse()).size > 0, "a scan");
    for (let scrape = 0; scrape < 3; scrape++) assert.ok((await inUse()).size > 0);
    assert.ok((daemon.stderr().match(/kernel counters/g) ?? []).length <= 1);
  });

  test("tells of ports in its own namespace, and why not of those in others", async () => {
    const other = new Netns();
    try {
      const answer = await fetch(`${daemon.url}/ports`);
      assert.equal(answer.status, 200);
      const { unreadable } = (await answer.json()) as PortReport;
      const reason = unreadable.find(({ name }) => name === other.name)?.reason ?? "";
      assert.match(reason, /^enter another network namespace: EPERM/);
      const shown = await tuplewatch(["ports", "--url", daemon.url]).done;
      assert.match(shown.stdout, /: ports \d+-\d+\n/);
      assert.match(shown.stdout, new RegExp(`${other.name}: cannot be looked into: enter .*EPERM`));
    } finally {
      other.delete();
    }
  });

  test("starts the process that serves again, as the same user", async () => {
    const killed = servingPid(daemon);
    const uid = userOf(String(killed));
    assert.equal(uid, userOf(String(daemon.child.pid)));
    process.kill(killed, "SIGKILL");
    const restarts = () => metric(daemon.url, "tuplewatch_serving_process_restarts_total");
    await until(async () => [...(await restarts()).values()][0] === 1, "another one");
    assert.equal(userOf(String(servingPid(daemon))), uid);
  });
});

test("--user root --keep-capabilities all changes nothing", async () => {
  const args = ["--user", "root", "--keep-capabilities", "all", "--backend", "counters"];
  const daemon = await startDaemonProcess(args);
  const pid = daemon.child.pid as number;
  assert.equal(ofThreads(pid, "CapPrm")[0], ofThreads(process.pid, "CapPrm")[0]);
  assert.equal(ofThreads(pid, "Uid")[0], ofThreads(process.pid, "Uid")[0]);
  await stop(daemon);
});

test("a user that does not exist is an error", async () => {
  const args = [
    "run",
    "--listen",
    "127.0.0.1:0",
    "--user",
    "no-such-user",
    "--backend",
    "counters",
  ];
  const { code, stderr } = await tuplewatch(args).done;
  assert.equal(code, 1);
  assert.match(stderr, /change user no-such-user: ENOENT: no such user in \/etc\/passwd/);
});

test("a user that many have is an error", async () => {
  const args = ["run", "--listen", "127.0.0.1:0", "--user", "nobody", "--backend", "counters"];
  const { code, stderr } = await tuplewatch(args).done;
  assert.equal(code, 1);
  assert.match(stderr, /change user nobody: EINVAL: others have that user, too/);
});

test("another user with ambient capabilities can run it", async () => {
  const caps = "-all,+sys_admin,+net_admin,+sys_ptrace,+dac_read_search";
  const wrap = ["--reuid=65534", "--regid=65534", "--clear-groups"];
  const ambient = [`--inh-caps=${caps}`, `--ambient-caps=${caps}`];
  const daemon = await startDaemonProcess([], { wrapper: ["setpriv", ...wrap, ...ambient] });
  await seesConnect(daemon);
  const { uid, capabilities, without } = await privilegesOf(daemon);
  assert.equal(uid, NOBODY);
  assert.deepEqual(Object.keys(without as object), ["CAP_SETUID", "CAP_SETGID", "CAP_KILL"]);
  const given = ["CAP_DAC_READ_SEARCH", "CAP_NET_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_ADMIN"];
  assert.deepEqual(capabilities, given);
  await stop(daemon);
});
