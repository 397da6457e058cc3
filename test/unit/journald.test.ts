import assert from "node:assert/strict";
import { fstatSync } from "node:fs";
import { describe, it } from "node:test";
import { isJournal, withPriority } from "../../src/daemon/systemd/journald.ts";

describe("a line for journald", () => {
  it("begins with the priority of its level, and so does each line after it", () => {
    assert.equal(withPriority("one\ntwo\n", 50), "<3>one\n<3>two\n");
    const priorities = [60, 50, 40, 30, 20, 10].map((level) => withPriority("x", level)[1]);
    assert.deepEqual(priorities, ["2", "3", "4", "6", "7", "7"]);
  });

  it("is written where stderr is the journal's stream", () => {
    const { dev, ino } = fstatSync(2);
    assert.equal(isJournal(2, { JOURNAL_STREAM: `${dev}:${ino}` }), true);
    assert.equal(isJournal(2, { JOURNAL_STREAM: `${dev}:${ino + 1}` }), false);
    assert.equal(isJournal(2, {}), false);
  });
});
