import assert from "node:assert/strict";
import { mkdirSync, rmdirSync, statSync } from "node:fs";
import { describe, test } from "node:test";
import { RingBuffer } from "libbpf-ts";
import { CgroupNames, CgroupWatch } from "../../src/names/cgroup-names.ts";
import { TestCgroup } from "../support/cgroup.ts";
import { suiteDaemon, withoutReader } from "../support/commands.ts";
import { eventsOf } from "../support/feed.ts";

const CONTAINER = "5e".repeat(32);
const OTHER = "7a".repeat(32);
const UID = "1b2c3d4e-0011-2233-4455-66778899aabb";
const POD = `kubepods.slice/kubepods-pod${UID.replaceAll("-", "_")}.slice`;

describe("names in events", () => {
  const daemon = suiteDaemon();

  test("are those of a container that was gone before the daemon could look", async () => {
    const { pid } = await withoutReader(daemon, () => {
      const cgroup = new TestCgroup(`${POD}/cri-containerd-${CONTAINER}.scope`);
      const made = cgroup.connects("refused", 11);
      cgroup.delete();
      return made;
    });
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

  test("are not those that a container gives to cgroups below its own", async () => {
    const forged = `${POD}/cri-containerd-${OTHER}.scope`;
    const cgroup = new TestCgroup(`docker-${CONTAINER}.scope/${forged}`);
    const { pid } = cgroup.connects("refused", 3, { cgroup: true });
    const events = await eventsOf(daemon.url, 3, { type: "connect", pid: String(pid) });
    cgroup.delete();
    assert.equal(events.length, 3);
    for (const event of events) {
      const { path, unit, container, pod } = event.cgroup as Record<string, string>;
      assert.ok(path?.endsWith(`/${forged}`));
      assert.deepEqual([unit, container, pod], [`docker-${CONTAINER}.scope`, CONTAINER, undefined]);
    }
    const query = { type: "connect", container: OTHER };
    assert.deepEqual(await eventsOf(daemon.url, 0, query), []);
  });

  test("are harmless, whatever characters are in them", async () => {
    const odd = 'tw\u001b[31m\u0007"<b>\u202e.service';
    const cgroup = new TestCgroup(`${odd}/docker-${CONTAINER}.scope`);
    const { pid } = cgroup.connects("refused", 1);
    cgroup.delete();
    const [event] = await eventsOf(daemon.url, 1, { type: "connect", pid: String(pid) });
    assert.ok(event);
    const { path, unit, container } = event.cgroup as Record<string, string>;
    assert.ok(path?.includes(`/${odd}/`));
    assert.deepEqual([unit, container], [`docker-${CONTAINER}.scope`, CONTAINER]);
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
  const watch = CgroupWatch.attach();
  const names = new CgroupNames(RingBuffer.map(watch.ring));
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
    watch.close();
  }
});

function inodeOf(path: string): number {
  return statSync(path).ino;
}
