import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { findingsAsText } from "../../src/cli/findings.ts";
import { painter } from "../../src/cli/style.ts";
import { lineOf } from "../../src/cli/tail.ts";
import { amounts } from "../../src/events/line.ts";
import type { FindingJson } from "../../src/findings/finding.ts";

const paint = painter(false);
const HEAD = { seq: 1, time: "2026-03-14T15:09:26.535897932Z" };
// biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b\u202e\u2028]/;

const CURSOR = "\u001b[2J\u200b\u202e\u2028\u0085";

const FINDING: FindingJson = {
  id: "udp_overshadowing-1",
  kind: "udp_overshadowing",
  severity: "warning",
  state: "active",
  summary: "",
  explanation: "",
  first_seen: "2026-03-14T15:09:26.535Z",
  last_seen: "2026-03-14T15:09:26.535Z",
  count: 1,
  parties: [],
  tuples: [],
  consequence: {},
  evidence: [1],
  evidence_count: 1,
  remedies: [],
  references: [],
  confidence: { level: "high", rests_on: "" },
};

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

describe("how many, of a party,", () => {
  it("are its processes, failures and ports, as far as they are known", () => {
    assert.deepEqual(amounts({ processes: 7, failures: 1, ports: 96 }), [
      "7 processes",
      "1 failure",
      "96 ports",
    ]);
    assert.deepEqual(amounts({ failures: 0, ports: 1 }), ["0 failures", "1 port"]);
    assert.deepEqual(amounts({ role: "holder" }), []);
  });

  it("stand behind its name, and its addresses", () => {
    const process = { pid: 5, comm: "fpm" };
    const peer = { address: "10.0.0.7", port: 443 };
    const text = findingsAsText(
      [{ ...FINDING, parties: [{ role: "failed", process, peer, processes: 3, failures: 18 }] }],
      paint,
    );
    assert.match(
      text,
      /^ {2}failed {6}fpm\[5\] {2}10\.0\.0\.7:443 {2}3 processes {2}18 failures$/m,
    );
  });
});

it("findings as text have no control character, wherever it was", () => {
  const finding: FindingJson = {
    ...FINDING,
    id: CURSOR,
    summary: CURSOR,
    explanation: CURSOR,
    parties: [{ role: CURSOR, process: { pid: 1, comm: CURSOR } }],
    remedies: [{ summary: CURSOR, commands: [CURSOR], where: CURSOR, snippets: [CURSOR] }],
    references: [{ title: CURSOR, url: CURSOR }],
    confidence: { level: "high", rests_on: CURSOR },
  };
  assert.doesNotMatch(findingsAsText([finding], paint), CONTROL);
});
