import assert from "node:assert/strict";
import { test } from "node:test";
import { openTestObject, packet } from "./support.ts";

test("variables have the values that the C source gives them", () => {
  const opened = openTestObject("maps");
  assert.equal(opened.getGlobal("config_u64"), 7n);
  assert.equal(opened.getGlobal("config_s32"), -3);
  assert.equal(opened.getGlobal("config_name"), "none");
  assert.equal(opened.getGlobal("config_bool"), false);
  assert.equal(opened.getGlobal("data_limit"), 100);
  opened.close();
});

test("variables set before load are what the program computes with", () => {
  const opened = openTestObject("maps");
  opened.setGlobal("config_u64", 1000n);
  opened.setGlobal("config_u16", 65_535);
  opened.setGlobal("config_s32", -7);
  opened.setGlobal("config_name", "abc");
  opened.setGlobal("config_bool", true);
  opened.setGlobal("config_point", new Uint8Array([1, 0, 0, 0, 5, 0, 0, 0]));
  opened.setGlobal("data_limit", 50);
  const loaded = opened.load();
  const result = loaded.program("count").testRun({ data: packet() });
  assert.equal(result, 1000 + 65_535 - 7 + "a".charCodeAt(0) + 5 + 50);
  assert.equal(loaded.getGlobal("bss_small"), -1);
  assert.equal(loaded.getGlobal("config_name"), "abc");
  loaded.close();
});

test("after load .bss and .data are shared with the program", () => {
  const loaded = openTestObject("maps").load();
  loaded.setGlobal("bss_runs", 2n ** 40n);
  loaded.program("count").testRun({ data: packet(), repeat: 3 });
  assert.equal(loaded.getGlobal("bss_runs"), 2n ** 40n + 3n);
  loaded.setGlobal("data_limit", 7);
  assert.equal(loaded.getGlobal("data_limit"), 7);
  assert.throws(() => loaded.setGlobal("config_u16", 1), { code: "EPERM" });
  assert.equal(loaded.getGlobal("config_u64"), 7n);
  loaded.close();
  assert.throws(() => loaded.getGlobal("bss_runs"), { code: "EBADF" });
});

test("what does not fit a variable is refused with the reason", () => {
  const opened = openTestObject("maps");
  const cases: [string, Parameters<typeof opened.setGlobal>[1], RegExp][] = [
    ["nope", 1, /known: .*config_u64/],
    ["config_u16", 65_536, /65536 is no u16/],
    ["config_u16", -1, /-1 is no u16/],
    ["config_u16", 1.5, /1.5 is no u16/],
    ["config_u64", 2n ** 64n, /is no u64/],
    ["config_u64", 2 ** 60, /is no u64/],
    ["config_s32", -(2n ** 31n) - 1n, /is no i32/],
    ["config_bool", 2, /is no bool/],
    ["config_name", "12345678", /8 bytes for one of 8/],
    ["config_name", 1, /takes a string/],
    ["config_u16", "x", /no array of char/],
    ["config_point", new Uint8Array(7), /7 bytes for one of 8/],
    ["config_point", 1, /takes 8 bytes/],
  ];
  for (const [name, value, message] of cases) {
    assert.throws(() => opened.setGlobal(name, value), message);
  }
  opened.close();
  assert.throws(() => opened.setGlobal("config_u16", 1), { code: "EBADF" });
});

test("variables of a section that is static throughout are read only", () => {
  const opened = openTestObject("statics");
  opened.setGlobal("hidden", 5);
  const statics = opened.load();
  assert.equal(statics.program("increment").testRun({ data: packet() }), 6);
  assert.equal(statics.getGlobal("hidden"), 6);
  assert.throws(() => statics.setGlobal("hidden", 1), /only static variables/);
  statics.close();
});
