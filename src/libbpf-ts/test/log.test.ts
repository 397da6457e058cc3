import assert from "node:assert/strict";
import { test } from "node:test";
import { summariseLog } from "../src/log.ts";

const lines = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i}: insn`);
const BEGIN = "libbpf: prog 'x': -- BEGIN PROG LOAD LOG --";
const END = "-- END PROG LOAD LOG --";

test("a short log stays as it is, without the marks", () => {
  const log = ["libbpf: a", BEGIN, ...lines(3), END, "libbpf: b", ""].join("\n");
  assert.deepEqual(summariseLog(log, 3).split("\n"), ["libbpf: a", ...lines(3), "libbpf: b"]);
});

test("of a long verifier log the end stays, and the number of lines left out", () => {
  const log = [BEGIN, ...lines(1000), END, "libbpf: b"].join("\n");
  assert.deepEqual(summariseLog(log, 2).split("\n"), [
    "... 998 lines of the verifier's log left out ...",
    "998: insn",
    "999: insn",
    "libbpf: b",
  ]);
});

test("a log that was cut off before its end mark is summarised too", () => {
  const summary = summariseLog([BEGIN, ...lines(50)].join("\n"), 5);
  assert.equal(summary.split("\n").length, 6);
  assert.equal(summariseLog(""), "");
});

test("many programs' logs together stay bounded", () => {
  const one = [BEGIN, ...lines(30), END];
  const log = Array.from({ length: 50 }, () => one.join("\n")).join("\n");
  assert.ok(summariseLog(log, 20).split("\n").length <= 41);
});
