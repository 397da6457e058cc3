import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FairLruMap, type Principal } from "../../src/util/fair-lru.ts";

function user(name: string, group = "host"): Principal {
  return { group, user: name };
}

describe("a fair map", () => {
  it("forgets what was not asked for longest, of whoever has most", () => {
    const map = new FairLruMap<string, number>(4);
    map.set("mine", 1, user("a"));
    for (let i = 0; i < 100; i++) map.set(`theirs ${i}`, i, user("b"));
    assert.equal(map.size, 4);
    assert.equal(map.get("mine"), 1);
    assert.deepEqual(map.values(), [1, 97, 98, 99]);
    map.get("theirs 97");
    assert.equal(map.set("other", 5, user("c")), 98);
    assert.equal(map.get("theirs 97"), 97);
  });

  it("takes a group's users for one, when another group wants room", () => {
    const map = new FairLruMap<string, number>(4);
    map.set("mine", 1, user("a"));
    for (let i = 0; i < 100; i++) map.set(`theirs ${i}`, i, user(`b ${i}`, "pod"));
    assert.equal(map.get("mine"), 1);
    assert.deepEqual([map.size, map.get("theirs 99")], [4, 99]);
  });

  it("keeps an entry charged to whom it was first, and forgets it when told to", () => {
    const map = new FairLruMap<string, number>(2);
    map.set("mine", 1, user("a"));
    map.set("mine", 2, user("b"));
    map.set("theirs", 3, user("b"));
    map.set("more", 4, user("b"));
    assert.equal(map.get("mine"), 2);
    map.delete("mine");
    map.delete("mine");
    assert.deepEqual([map.size, map.get("mine"), map.values()], [1, undefined, [4]]);
  });
});
