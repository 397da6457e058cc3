import assert from "node:assert/strict";
import { test } from "node:test";
import { readReport } from "./report.ts";
import { cannotBefore, isOlder, sinceKernel } from "./requires.ts";

const OLD = "5.10.0-46-cloud-amd64";
const NEW = "6.12.117+deb13-cloud-amd64";

function recorder() {
  const reasons: (string | undefined)[] = [];
  return { reasons, skip: (reason?: string) => void reasons.push(reason) };
}

test("kernel versions compare by number, not by letter", () => {
  assert.equal(isOlder(OLD, "5.9"), false);
  assert.equal(isOlder(OLD, "5.10"), false);
  assert.equal(isOlder(OLD, "6.1"), true);
  assert.equal(isOlder(NEW, "6.2"), false);
});

test("sinceKernel skips on an older kernel only, with the reason", () => {
  const t = recorder();
  assert.equal(sinceKernel(t, "6.1", "no module BTF", OLD), false);
  assert.equal(sinceKernel(t, "6.1", "no module BTF", NEW), true);
  assert.deepEqual(t.reasons, ["needs kernel 6.1: no module BTF"]);
});

test("cannotBefore skips on an older kernel and throws on a newer one", () => {
  const t = recorder();
  cannotBefore(t, "6.1", "no fentry", OLD);
  assert.equal(t.reasons.length, 1);
  assert.throws(() => cannotBefore(t, "6.1", "no fentry", NEW), /should be able to.*no fentry/);
});

test("a skip that does not hold on the kernel is counted as failed", () => {
  const lines = [
    "ok 2 - a # SKIP needs kernel 6.1: no module BTF",
    "    ok 1 - b # SKIP just because",
    "# pass 7",
    "# fail 1",
    "# cancelled 1",
    "# skipped 2",
    "# todo 0",
  ];
  const old = readReport(lines, OLD);
  assert.deepEqual([old?.passed, old?.failed, old?.skipped], [7, 3, 1]);
  assert.deepEqual(old?.wrongSkips, ["b: just because"]);
  const recent = readReport(lines, NEW);
  assert.deepEqual([recent?.passed, recent?.failed, recent?.skipped], [7, 4, 0]);
});

test("a test's own diagnostic cannot replace the runner's count", () => {
  const report = readReport(["# pass 99", "# pass 1", "# fail 0"], NEW);
  assert.equal(report?.passed, 1);
});

test("a failure is told with its name and error, a suite only with its own", () => {
  const lines = [
    "    not ok 1 - one",
    "      ---",
    "      location: '/some/where/build/test/guest/one.test.js:12:3'",
    "      failureType: 'testCodeFailure'",
    "      error: |-",
    "        Expected values to be equal:",
    "        ",
    "          1 !== 2",
    "      code: 'ERR_ASSERTION'",
    "      ...",
    "    not ok 2 - two",
    "      ---",
    "      error: 'in one line'",
    "      ...",
    "not ok 1 - suite",
    "  ---",
    "  failureType: 'subtestsFailed'",
    "  error: '2 subtests failed'",
    "  ...",
    "not ok 2 - cut off",
    "# pass 0",
    "# fail 3",
  ];
  assert.deepEqual(readReport(lines, NEW)?.failures, [
    { name: "one (one.test.js:12)", error: ["Expected values to be equal:", "", "  1 !== 2"] },
    { name: "two", error: ["in one line"] },
    { name: "cut off", error: [""] },
  ]);
});

test("a report without counts is none", () => {
  assert.equal(readReport(["ok 1 - a # SKIP x"], NEW), undefined);
});
