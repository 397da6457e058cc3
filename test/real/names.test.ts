import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, rmdirSync, statSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { NetnsNames } from "../../src/enrich/netns.ts";
import { CgroupNames } from "../../src/kernel/cgroup-names.ts";
import { TestCgroup } from "../support/cgroup.ts";
import { startDaemonProcess } from "../support/commands.ts";
import { eventsOf } from "../support/feed.ts";
import { Netns } from "../support/netns.ts";

const CONTAINER = "5e".repeat(32);
const UID = "1b2c3d4e-0011-2233-4455-66778899aabb";
const POD = `kubepods.slice/kubepods-pod${UID.replaceAll("-", "_")}.slice`;

describe("names in events", () => {
  let daemon: Awaited<ReturnType<typeof startDaemonProcess>>;

  before(async () => {
    daemon = await startDaemonProcess();
  });
  after(async () => {
    daemon.child.kill("SIGTERM");
    assert.equal((await daemon.done).code, 0);
  });

  test("are those of a container that was gone before the daemon could look", async () => {
    daemon.child.kill("SIGSTOP");
    const cgroup = new TestCgroup(`${POD}/cri-containerd-${CONTAINER}.scope`);
    const { pid } = cgroup.connects("refused", 11);
    cgroup.delete();
    daemon.child.kill("SIGCONT");
    const events = await eventsOf(daemon.url, 11, { type: "connect", pid: String(pid) });
    assert.equal(events.length, 11);
    for (const event of events) {
      const { id, path, ...workload } = event.cgroup as Record<string, string>;
      assert.match(id ?? "", /^\d+$/);
      assert.match(path ?? "", new RegExp(`^/tw-test-.*/${POD}/cri-containerd-`));
      assert.deepEqual(workload, {
        unit: `cri-containerd-${CONTAINER}.scope`,
        container: CONTAINER,
        pod: UID,
      });
    }
  });

  test("are not those of a container whose directory had the same name", async () => {
    const seen = new Set<unknown>();
    for (let round = 0; round < 3; round++) {
      const cgroup = new TestCgroup(`docker-${CONTAINER}.scope`);
      const { pid } = cgroup.connects("refused", 1);
      cgroup.delete();
      const [event] = await eventsOf(daemon.url, 1, { type: "connect", pid: String(pid) });
      const named = event?.cgroup as { id: string; container: string };
      assert.equal(named.container, CONTAINER);
      seen.add(named.id);
    }
    assert.equal(seen.size, 3);
  });
});

test("a cgroup's path outlives it, and one too long to be kept whole has none", () => {
  const names = CgroupNames.attach();
  const deep = new TestCgroup("d".repeat(200));
  const deeper = `${deep.path}/${"e".repeat(200)}`;
  try {
    mkdirSync(deeper);
    mkdirSync(`${deeper}/${"f".repeat(200)}`);
    const ids = [deep.path, deeper, `${deeper}/${"f".repeat(200)}`].map(inodeOf);
    rmdirSync(`${deeper}/${"f".repeat(200)}`);
    rmdirSync(deeper);
    assert.match(names.path(ids[0] as number) ?? "", /^\/tw-test-[^/]*\/d{200}$/);
    assert.match(names.path(ids[1] as number) ?? "", /\/e{200}$/);
    assert.equal(names.path(ids[2] as number), undefined);
    assert.equal(names.path(1), undefined);
  } finally {
    deep.delete();
    names.close();
  }
});

test("a network namespace has its file's name, else that of a container in it", async () => {
  const netns = new Netns();
  const names = new NetnsNames();
  assert.equal(names.name(netns.inum), netns.name);
  const child = spawn("unshare", ["--net", "sleep", "30"]);
  try {
    const pid = child.pid as number;
    const own = inodeOf("/proc/self/ns/net");
    while (inodeOf(`/proc/${pid}/ns/net`) === own) await new Promise(setImmediate);
    const inum = inodeOf(`/proc/${pid}/ns/net`);
    assert.equal(names.name(inum), undefined);
    assert.equal(names.name(inum, { pid: process.pid, container: CONTAINER }), undefined);
    assert.equal(names.name(inum, { pid, container: CONTAINER }), CONTAINER.slice(0, 12));
    assert.equal(names.name(inum), CONTAINER.slice(0, 12));
    assert.equal(names.name(own, { pid: process.pid, container: CONTAINER }), undefined);
  } finally {
    child.kill("SIGKILL");
    netns.delete();
  }
});

function inodeOf(path: string): number {
  return statSync(path).ino;
}
