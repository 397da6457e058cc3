import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { withSignalsBlocked } from "../src/signals.ts";

/** Bit N - 1 for each signal N that this thread does not take. */
function blockedNow(): bigint {
  const [, hex = ""] =
    /^SigBlk:\t(\w+)$/m.exec(readFileSync("/proc/thread-self/status", "utf8")) ?? [];
  return BigInt(`0x${hex}`);
}

const bit = (signal: number) => 1n << BigInt(signal - 1);
const [SIGILL, SIGSEGV, SIGTERM, SIGPROF] = [4, 11, 15, 27];

describe("signals are blocked", () => {
  test("while a function runs, but for those of its own mistakes", () => {
    const before = blockedNow();
    const during = withSignalsBlocked(blockedNow);
    for (const signal of [SIGTERM, SIGPROF]) assert.notEqual(during & bit(signal), 0n);
    for (const signal of [SIGILL, SIGSEGV]) assert.equal(during & bit(signal), 0n);
    assert.equal(before & bit(SIGPROF), 0n);
    assert.equal(blockedNow(), before);
  });

  test("no longer when it has thrown", () => {
    const before = blockedNow();
    const fail = () => {
      throw new Error("no");
    };
    assert.throws(() => withSignalsBlocked(fail), /^Error: no$/);
    assert.equal(blockedNow(), before);
  });
});
