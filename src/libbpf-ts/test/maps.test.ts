import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { BpfMap, type LoadedObject, possibleCpus, UpdateFlag } from "../src/index.ts";
import { duplicateFd } from "../src/memory.ts";
import { asU32, asU64, openTestObject, packet, u32, u64 } from "./support.ts";

let loaded: LoadedObject;
before(() => {
  loaded = openTestObject("maps").load();
});
after(() => loaded.close());

test("hash: update flags and lookup", () => {
  const map = loaded.map("hash");
  assert.equal(map.lookup(1), undefined);
  map.update(1, u64(10n), UpdateFlag.NOEXIST);
  assert.throws(() => map.update(1, u64(11n), UpdateFlag.NOEXIST), { code: "EEXIST" });
  assert.throws(() => map.update(2, u64(11n), UpdateFlag.EXIST), { code: "ENOENT" });
  assert.equal(asU64(map.lookup(u32(1))), 10n);
});

test("keys and values of the wrong size are refused before the kernel sees them", () => {
  const map = loaded.map("hash");
  assert.throws(() => map.lookup(new Uint8Array(3)), /has keys of 4 bytes, not 3/);
  assert.throws(() => map.update(1, u32(1)), /has values of 8 bytes, not 4/);
  assert.throws(() => map.lookup(-1), { code: "EINVAL" });
  assert.throws(() => map.lookup(2 ** 32), { code: "EINVAL" });
  assert.throws(() => loaded.map("lru").lookup(1), /keys of 8 bytes/);
  assert.throws(() => map.lookupPerCpu(1), /the map is not per CPU/);
});

test("array, LRU and LPM", () => {
  const array = loaded.map("array");
  array.update(63, new Uint8Array([1, 0, 0, 0, 2, 0, 0, 0]));
  assert.equal(asU32(array.lookup(63)?.subarray(4)), 2);
  assert.equal(array.lookup(64), undefined);

  const lru = loaded.map("lru");
  for (let i = 0n; i < 3000n; i++) lru.update(u64(i), u32(1));
  assert.equal(lru.lookup(u64(0n)), undefined);
  assert.equal(asU32(lru.lookup(u64(2999n))), 1);

  const lpm = loaded.map("lpm");
  const key = (prefix: number, ...address: number[]) =>
    new Uint8Array([...u32(prefix), ...address]);
  lpm.update(key(8, 10, 0, 0, 0), u32(8));
  lpm.update(key(16, 10, 1, 0, 0), u32(16));
  assert.equal(asU32(lpm.lookup(key(32, 10, 1, 2, 3))), 16);
  assert.equal(asU32(lpm.lookup(key(32, 10, 2, 2, 3))), 8);
});

test("per-CPU maps have one value per possible CPU", () => {
  const map = loaded.map("cpu_hash");
  const values = Array.from({ length: possibleCpus() }, (_, cpu) => u32(cpu + 100));
  const all = new Uint8Array(map.valueBytes);
  for (const [cpu, value] of values.entries()) all.set(value, cpu * 8);
  map.update(5, all);
  assert.deepEqual(map.lookupPerCpu(5)?.map(asU32), values.map(asU32));
  assert.deepEqual(map.splitPerCpu(all).map(asU32), values.map(asU32));
  assert.equal(map.lookupPerCpu(6), undefined);
  assert.throws(() => map.update(5, all.subarray(8)), { code: "EINVAL" });

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
});

test("a descriptor of a map can be taken over", () => {
  loaded.map("array").update(3, u64(33n));
  const map = BpfMap.fromFd(duplicateFd(loaded.map("array").fd));
  assert.equal(asU64(map.lookup(3)), 33n);
  assert.equal(map.name, "array");
  map.close();
  map.close();
  assert.throws(() => map.lookup(3), { code: "EBADF" });
});

test("an array's values are read in place", () => {
  const map = loaded.map("mapped");
  for (let i = 0; i < 600; i++) map.update(i, u64(BigInt(7 * i)));
  const [length, values] = map.withMemory((memory) => [
    memory.byteLength,
    [...new BigUint64Array(memory, 0, 600)],
  ]);
  assert.equal(length, 8192);
  assert.deepEqual(
    values,
    Array.from({ length: 600 }, (_, i) => BigInt(7 * i)),
  );
  assert.throws(() => loaded.map("array").withMemory(() => {}), { code: "EINVAL" });
});
