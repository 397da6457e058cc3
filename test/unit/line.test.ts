import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { findingsAsText } from "../../src/cli/findings.ts";
import { painter } from "../../src/cli/style.ts";
import { lineOf } from "../../src/cli/tail.ts";
import type { FindingJson } from "../../src/findings/finding.ts";

const paint = painter(false);
const HEAD = { seq: 1, time: "2026-03-14T15:09:26.535897932Z" };
// biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b\u202e\u2028]/;

describe("a line of an event", () => {
  it("of a type that has no text of its own shows its fields, whatever it is called", () => {
    const fields = { port: 53, peer: { address: "2001:db8::1", port: 80 }, reason: { a: 1 } };
    for (const type of ["news", "constructor", "toString", "__proto__"]) {
      const line = lineOf({ ...HEAD, type, ...fields }, paint);
      assert.ok(line.includes('port=53  peer=[2001:db8::1]:80  reason={"a":1}'), line);
      assert.ok(!line.includes("attribution"), line);
    }
  });

  it("takes what another version may put where a word or a number was", () => {
    const odd = JSON.parse('{"toString": 1, "valueOf": 2}');
    const event = { ...HEAD, type: "connect", result: odd, duration_ns: odd, syn_retransmits: odd };
    assert.match(lineOf(event, paint), /\{"toString":1,"valueOf":2\} {2}\?/);
    assert.match(lineOf({ ...HEAD, type: "gap", missed: odd }, paint), /0 events missed/);
    const refused = { ...HEAD, type: "conntrack_insert_failed", winner: null };
    assert.match(lineOf(refused, paint), /\* > \*/);
    const withoutTime = { ...HEAD, time: odd, type: "gap" };
    assert.match(lineOf(withoutTime, paint), /^NaN:NaN/);
  });

  it("does not let a type or a process move the cursor", () => {
    const process = { pid: 1, comm: "\u001b[2J\u200b" };
    assert.doesNotMatch(lineOf({ ...HEAD, type: "\u202e\u001b[2J\r\n", process }, paint), CONTROL);
  });
});

it("findings as text have no control character, wherever it was", () => {
  const cursor = "\u001b[2J\u200b\u202e\u2028\u0085";
  const finding: FindingJson = {
    id: cursor,
    kind: "udp_overshadowing",
    severity: "warning",
    state: "active",
    summary: cursor,
    explanation: cursor,
    first_seen: "2026-03-14T15:09:26.535Z",
    last_seen: "2026-03-14T15:09:26.535Z",
    count: 1,
    parties: [{ role: cursor, process: { pid: 1, comm: cursor } }],
    tuples: [],
    consequence: {},
    evidence: [1],
    evidence_count: 1,
    remedies: [{ summary: cursor, commands: [cursor], where: cursor, snippets: [cursor] }],
    references: [{ title: cursor, url: cursor }],
    confidence: { level: "high", rests_on: cursor },
  };
  assert.doesNotMatch(findingsAsText([finding], paint), CONTROL);
});
