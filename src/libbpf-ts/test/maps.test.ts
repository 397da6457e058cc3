import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { BpfMap, Link, type LoadedObject, possibleCpus, UpdateFlag } from "../src/index.ts";
import { asU32, asU64, openTestObject, packet, u32, u64 } from "./support.ts";

let loaded: LoadedObject;
before(() => {
  loaded = openTestObject("maps").load();
});
after(() => loaded.close());

test("hash: update flags, lookup, delete", () => {
  const map = loaded.map("hash");
  assert.equal(map.lookup(1), undefined);
  map.update(1, u64(10n), UpdateFlag.NOEXIST);
  assert.throws(() => map.update(1, u64(11n), UpdateFlag.NOEXIST), { code: "EEXIST" });
  assert.throws(() => map.update(2, u64(11n), UpdateFlag.EXIST), { code: "ENOENT" });
  assert.equal(asU64(map.lookup(u32(1))), 10n);
  assert.equal(map.delete(1), true);
  assert.equal(map.delete(1), false);
});

test("keys and values of the wrong size are refused before the kernel sees them", () => {
  const map = loaded.map("hash");
  assert.throws(() => map.lookup(new Uint8Array(3)), /has keys of 4 bytes, not 3/);
  assert.throws(() => map.update(1, u32(1)), /has values of 8 bytes, not 4/);
  assert.throws(() => map.lookup(-1), { code: "EINVAL" });
  assert.throws(() => map.lookup(2 ** 32), { code: "EINVAL" });
  assert.throws(() => loaded.map("lru").lookup(1), /keys of 8 bytes/);
  assert.throws(() => map.lookupPerCpu(1), /the map is HASH/);
  assert.throws(() => map.deleteBatch(new Uint8Array(6)), { code: "EINVAL" });
});

test("hash: batches see every element once, and take empties the map", () => {
  const map = loaded.map("hash");
  for (let i = 0; i < 5000; i++) map.update(i, u64(BigInt(i) * 3n));
  for (const chunk of [1, 7, 4096, 100_000]) {
    const seen = new Map<number, bigint>();
    for (const { count, keys, values } of map.batches(chunk)) {
      const keyView = new DataView(keys.buffer, keys.byteOffset);
      const valueView = new DataView(values.buffer, values.byteOffset);
      for (let i = 0; i < count; i++) {
        seen.set(keyView.getUint32(i * 4, true), valueView.getBigUint64(i * 8, true));
      }
    }
    assert.equal(seen.size, 5000);
    for (const [key, value] of seen) assert.equal(value, BigInt(key) * 3n);
  }
  let taken = 0;
  for (const { count } of map.takeBatches()) taken += count;
  assert.equal(taken, 5000);
  assert.equal([...map.entries()].length, 0);
});

test("deleteBatch counts what was there, also when keys are missing", () => {
  const map = loaded.map("hash");
  for (let i = 0; i < 100; i++) map.update(i, u64(0n));
  const keys = new Uint8Array(new Uint32Array([3, 5000, 7, 7, 99, 6000]).buffer);
  assert.equal(map.deleteBatch(keys), 3);
  let left = 0;
  for (const { count } of map.takeBatches(13)) left += count;
  assert.equal(left, 97);
});

test("where the kernel has no batch calls the walk goes key by key", () => {
  const map = loaded.map("no_batch");
  // The values of a DEVMAP_HASH are interfaces; 1 is always the loopback.
  for (let i = 0; i < 10; i++) map.update(i * 7, u32(1));
  const keys = [...map.entries()].map(([key]) => asU32(key) ?? -1).sort((a, b) => a - b);
  assert.deepEqual(keys, [0, 7, 14, 21, 28, 35, 42, 49, 56, 63]);
  assert.equal(map.deleteBatch(new Uint8Array(new Uint32Array([7, 8, 14]).buffer)), 2);
  assert.deepEqual(
    [...map.takeBatches(3)].map(({ count }) => count),
    [3, 3, 2],
  );
  assert.equal([...map.batches()].length, 0);
});

test("array, LRU, LPM and queue", () => {
  const array = loaded.map("array");
  array.update(63, new Uint8Array([1, 0, 0, 0, 2, 0, 0, 0]));
  assert.equal(asU32(array.lookup(63)?.subarray(4)), 2);
  assert.equal(array.lookup(64), undefined);
  assert.equal([...array.entries()].length, 64);

  const lru = loaded.map("lru");
  for (let i = 0n; i < 3000n; i++) lru.update(u64(i), u32(1));
  assert.ok([...lru.entries()].length <= 1024);

  const lpm = loaded.map("lpm");
  const key = (prefix: number, ...address: number[]) =>
    new Uint8Array([...u32(prefix), ...address]);
  lpm.update(key(8, 10, 0, 0, 0), u32(8));
  lpm.update(key(16, 10, 1, 0, 0), u32(16));
  assert.equal(asU32(lpm.lookup(key(32, 10, 1, 2, 3))), 16);
  assert.equal(asU32(lpm.lookup(key(32, 10, 2, 2, 3))), 8);
  assert.equal([...lpm.entries()].length, 2);

  const queue = loaded.map("queue");
  queue.update(new Uint8Array(0), u32(5));
  queue.update(new Uint8Array(0), u32(6));
  assert.deepEqual([asU32(queue.take()), asU32(queue.take()), queue.take()], [5, 6, undefined]);
});

test("per-CPU maps have one value per possible CPU", () => {
  const map = loaded.map("cpu_hash");
  const values = Array.from({ length: possibleCpus() }, (_, cpu) => u32(cpu + 100));
  map.updatePerCpu(5, values);
  assert.deepEqual(map.lookupPerCpu(5)?.map(asU32), values.map(asU32));
  assert.equal(map.lookupPerCpu(6), undefined);
  assert.throws(() => map.updatePerCpu(5, values.slice(1)), { code: "EINVAL" });
  const [[, all] = [u32(0), u32(0)]] = [...map.entries()];
  assert.deepEqual(map.splitPerCpu(all).map(asU32), values.map(asU32));

  const counter = loaded.map("cpu_array");
  const total = () =>
    (counter.lookupPerCpu(0) ?? []).reduce((sum, value) => sum + (asU64(value) ?? 0n), 0n);
  const first = total();
  loaded.program("count").testRun({ data: packet(), repeat: 12_345 });
  assert.equal(total() - first, 12_345n);
});

test("the size of a map is set before load", () => {
  const opened = openTestObject("maps");
  opened.map("hash").setMaxEntries(3);
  const small = opened.load();
  assert.equal(small.map("hash").maxEntries, 3);
  for (let i = 0; i < 3; i++) small.map("hash").update(i, u64(0n));
  assert.throws(() => small.map("hash").update(3, u64(0n)), { code: "E2BIG" });
  small.close();
});

test("a map is shared with another object by its descriptor", () => {
  const opened = openTestObject("maps");
  opened.map("hash").reuse(loaded.map("hash"));
  const other = opened.load();
  loaded.map("hash").update(77, u64(1n));
  assert.equal(asU64(other.map("hash").lookup(77)), 1n);
  assert.equal(other.map("hash").info.id, loaded.map("hash").info.id);
  other.close();
  assert.equal(loaded.map("hash").delete(77), true);
});

test("a map, a program and a link outlive their object when pinned", (t) => {
  const directory = mkdtempSync(join(tmpdir(), "libbpf-ts-bpffs-"));
  execFileSync("mount", ["-t", "bpf", "none", directory]);
  t.after(() => {
    execFileSync("umount", [directory]);
    rmSync(directory, { recursive: true });
  });
  const path = (name: string) => join(directory, name);
  const pinning = openTestObject("attach");
  pinning.program("on_fentry").autoload = false;
  const object = pinning.load();
  const link = object.program("on_tp_btf").attach();
  link.pin(path("link"));
  object.program("on_raw").pin(path("program"));
  assert.throws(() => object.program("on_raw").pin(path("program")), { code: "EEXIST" });
  object.close();
  const again = Link.openPinned(path("link"));
  again.unpin();
  again.close();
  again.close();

  loaded.map("array").update(3, u64(33n));
  loaded.map("array").pin(path("map"));
  const map = BpfMap.openPinned(path("map"));
  assert.equal(asU64(map.lookup(3)), 33n);
  assert.equal(map.name, "array");
  map.close();
  map.close();
  assert.throws(() => map.lookup(3), { code: "EBADF" });
  const opened = openTestObject("maps");
  opened.map("array").reusePinned(path("map"));
  const other = opened.load();
  assert.equal(asU64(other.map("array").lookup(3)), 33n);
  other.close();
  assert.throws(() => BpfMap.openPinned(path("none")), { code: "ENOENT" });
  assert.throws(() => Link.openPinned(path("none")), { code: "ENOENT" });
});
