import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readlinkSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { inNamespace, ownCookie } from "../../src/kernel/namespaces.ts";
import { NetnsNames } from "../../src/names/netns.ts";
import { TestCgroup } from "../support/cgroup.ts";
import { suiteDaemon } from "../support/commands.ts";
import type { Attempts } from "../support/connects.ts";
import { eventsOf } from "../support/feed.ts";
import { Netns } from "../support/netns.ts";
import { until } from "../support/until.ts";

const CONTAINER = "5e".repeat(32);
const SHORT = CONTAINER.slice(0, 12);
const OTHER = "7a".repeat(32);

/** The directories are read again once a second. */
const SCAN_MS = 1100;
const ROUNDS = 25;

describe("the name of a network namespace", () => {
  test("is that of its file, for as long as the file keeps it", async () => {
    const names = new NetnsNames();
    const netns = new Netns();
    const question = { ...identityAt(`/run/netns/${netns.name}`), pid: 0 };
    const { path, end } = await inhabitant(netns.name);
    try {
      assert.equal(ask(names, question), netns.name);
      const another = `${netns.name}-renamed`;
      execFileSync("ip", ["netns", "attach", another, path.split("/")[2] as string]);
      netns.delete();
      assert.equal(ask(names, question), undefined);
      await sleep(SCAN_MS);
      assert.equal(ask(names, question), another);
      execFileSync("ip", ["netns", "delete", another]);
      assert.equal(ask(names, question), undefined);
    } finally {
      await end();
    }
  });

  test("is not that of an earlier namespace under the same number or file", async () => {
    const names = new NetnsNames();
    const netns = new Netns();
    const first = { ...identityAt(`/run/netns/${netns.name}`), pid: 0 };
    assert.equal(ask(names, first), netns.name);
    netns.delete();
    execFileSync("ip", ["netns", "add", netns.name]);
    const second = { ...identityAt(`/run/netns/${netns.name}`), pid: 0 };
    await sleep(SCAN_MS);
    assert.equal(ask(names, { ...second, cookie: first.cookie }), undefined);
    assert.equal(ask(names, second), netns.name);
    netns.delete();
    assert.equal(ask(names, second), undefined);
  });

  test("is not hidden by a link that leads nowhere or a file that is no namespace", () => {
    const early = [`/run/netns/!tw-link-${process.pid}`, `/run/netns/!tw-file-${process.pid}`];
    const netns = new Netns();
    symlinkSync("/nowhere", early[0] as string);
    writeFileSync(early[1] as string, "");
    try {
      const question = { ...identityAt(`/run/netns/${netns.name}`), pid: 0 };
      assert.equal(ask(new NetnsNames(), question), netns.name);
    } finally {
      for (const file of early) rmSync(file);
      netns.delete();
    }
  });

  test("is else the short id of a container that was made with it, for good", async () => {
    const cgroup = new TestCgroup(`docker-${CONTAINER}.scope`);
    const names = new NetnsNames();
    const inside = await contained(cgroup, "exec unshare --net sleep 60");
    const question = { ...identityAt(`/proc/${inside.pid}/ns/net`), pid: inside.pid };
    const home = { ...identityAt("/proc/self/ns/net"), pid: inside.pid };
    assert.equal(ask(names, { ...question, cookie: (question.cookie ?? 0) + 1 }), undefined);
    assert.equal(ask(names, home), undefined);
    assert.equal(ask(names, question), SHORT);
    await inside.end();
    cgroup.delete();
    assert.equal(ask(names, { ...question, pid: 0 }), SHORT);
  });

  test("is not that of a container whose process only visits it, or made it", async () => {
    const cgroup = new TestCgroup(`docker-${OTHER}.scope`);
    const netns = new Netns();
    const path = `/run/netns/${netns.name}`;
    const visited = identityAt(path);
    const visitor = await contained(cgroup, `nsenter --net=${path} sleep 60 & wait`);
    const maker = await contained(cgroup, "unshare --net sleep 60 & wait");
    const made = identityAt(`/proc/${maker.pid}/ns/net`);
    execFileSync("umount", [path]);
    rmSync(path);
    assert.equal(ask(new NetnsNames(), { ...visited, pid: visitor.pid }), undefined);
    assert.equal(ask(new NetnsNames(), { ...made, pid: maker.pid }), undefined);
    await visitor.end();
    await maker.end();
    cgroup.delete();
  });
});

describe("the daemon, while namespaces come and go", () => {
  const daemon = suiteDaemon();

  test("tells each by its own name or by none", async () => {
    const inums = new Set<number>();
    for (let round = 0; round < ROUNDS; round++) {
      const netns = new Netns();
      const { cookie } = identityAt(`/run/netns/${netns.name}`);
      const { pid } = netns.fault<Attempts>("connects.py", "refused", "1");
      netns.delete();
      inums.add(netns.inum);
      const [event] = await eventsOf(daemon.url, 1, { type: "connect", pid: String(pid) });
      const seen = event?.netns as { cookie: string; name?: string };
      assert.equal(seen.cookie, String(cookie));
      if (seen.name !== undefined) assert.equal(seen.name, netns.name);
    }
    assert.ok(inums.size < ROUNDS, "the kernel used a number again");
  });
});

function ask(names: NetnsNames, question: Parameters<NetnsNames["name"]>[0]): string | undefined {
  names.beginBatch();
  return names.name(question);
}

function identityAt(path: string): { readonly inum: number; readonly cookie: number | undefined } {
  const inum = statSync(path).ino;
  const cookie = inNamespace({ inum, cookie: undefined, path }, ownCookie);
  return { inum, cookie: cookie === undefined ? undefined : Number(cookie) };
}

/** A process that keeps a named namespace alive. */
async function inhabitant(name: string) {
  const child = spawn("ip", ["netns", "exec", name, "sleep", "60"]);
  const path = `/proc/${child.pid}/ns/net`;
  const wanted = statSync(`/run/netns/${name}`).ino;
  await until(() => statSync(path).ino === wanted, "it is in the namespace");
  const end = async () => {
    child.kill("SIGKILL");
    await once(child, "exit");
  };
  return { path, end };
}

/** The process of a command in a cgroup that has a network namespace other than the own. */
async function contained(cgroup: TestCgroup, command: string) {
  const script = `echo $$ > ${cgroup.path}/cgroup.procs; exec sh -c '${command}'`;
  const child = spawn("sh", ["-c", script], { detached: true, stdio: "ignore" });
  const group = child.pid as number;
  const home = readlinkSync("/proc/self/ns/net");
  const found = () => processesOf(group).find((pid) => isElsewhere(pid, home));
  await until(() => found() !== undefined, command);
  const end = async () => {
    process.kill(-group, "SIGKILL");
    await once(child, "exit");
    await until(() => processesOf(group).length === 0, "the end of its processes");
  };
  return { pid: found() as number, end };
}

function processesOf(group: number): number[] {
  try {
    const text = execFileSync("pgrep", ["-g", String(group)], { encoding: "utf8" });
    return text.trim().split("\n").map(Number);
  } catch {
    return []; // none
  }
}

function isElsewhere(pid: number, home: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`) !== home;
  } catch {
    return false; // it has ended
  }
}
