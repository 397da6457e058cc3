import assert from "node:assert/strict";
import { test } from "node:test";
import { mayBootAgain } from "./boot.ts";
import type { GuestResult } from "./guest.ts";
import type { Kernel } from "./kernels.ts";
import type { Options } from "./options.ts";
import { judge } from "./outcome.ts";

const ENDINGS = ["hung", "panicked", "time_limit", "exited", "interrupted"] as const;

const INT3 = "[  394.85] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI";
const OTHER = "[  394.85] Oops: Oops: 0000 [#1] PREEMPT SMP NOPTI";

test("a guest is booted again only while it has not finished booting, or for a breakpoint of nobody", () => {
  const again = (bootMs: number | undefined, ...oops: string[]) =>
    ENDINGS.filter((ending) => mayBootAgain({ ending, bootMs, oops }));
  assert.deepEqual(again(undefined), ["hung", "panicked"]);
  assert.deepEqual(again(3000), []);
  assert.deepEqual(again(3000, OTHER, INT3), []);
  assert.deepEqual(again(3000, INT3), ["hung", "panicked"]);
});

test("a kernel that panics or hangs while tests run fails the run, and the outcome says why", () => {
  const kernel = { series: "6.12", release: "6.12.0" } as Kernel;
  const options = { mode: "tests" } as Options;
  const result: GuestResult = {
    ending: "panicked",
    code: undefined,
    report: ["ok 1 - a test that had passed"],
    bootMs: 3000,
    totalMs: 9000,
    console: [],
    oops: [OTHER],
  };
  const { failed, passed, remarks } = judge(kernel, options, result);
  assert.deepEqual([failed, passed], [1, 0]);
  assert.match(remarks.join(), /panicked.* while the command ran.*Oops: 0000/);
  assert.match(judge(kernel, options, { ...result, ending: "hung" }).remarks.join(), /hung/);
});

test("a command's exit code is its guest's", () => {
  const kernel = { series: "6.12", release: "6.12.0" } as Kernel;
  const options = { mode: "command" } as Options;
  const ended = { ending: "exited", bootMs: 3000, totalMs: 9000 } as const;
  for (const code of [0, 7]) {
    const outcome = judge(kernel, options, { ...ended, report: [], console: [], oops: [], code });
    assert.deepEqual([outcome.code, outcome.failed], [code, code === 0 ? 0 : 1]);
  }
});
