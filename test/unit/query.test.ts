import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { negotiateFormat } from "../../src/http/accept.ts";
import { HttpError } from "../../src/http/errors.ts";
import { parseEventQuery, type RawQuery } from "../../src/http/query/event-query.ts";
import { FILTER_NAMES } from "../../src/http/query/filters.ts";
import { gapBatch, ObjectBatch } from "../../src/journal/batch.ts";
import { connectEvent } from "../support/events.ts";

const CONTAINER = "5e".repeat(32);
const EVENT = new ObjectBatch("connect", [connectEvent(40000)]).event(0, 1);
const INSERT_FAILED = new ObjectBatch("conntrack_insert_failed", [
  {
    time: "2026-01-02T03:04:05.000000006Z",
    type: "conntrack_insert_failed",
    probe: "conntrack_insert_failed",
    cause: "clash",
    original: {
      src: { address: "10.1.0.2", port: 6002 },
      dst: { address: "127.0.0.2", port: 5353 },
    },
    reply: {
      src: { address: "127.0.0.2", port: 5353 },
      dst: { address: "192.0.2.1", port: 5000 },
    },
    owner: {
      process: { pid: 51, comm: "resolver", uid: 0 },
      cgroup: { id: "9", container: CONTAINER, pod: "1b2c3d4e-0011-2233-4455-66778899aabb" },
      netns: { cookie: "31", inum: 4026532001 },
    },
    winner: {
      original: {
        src: { address: "10.1.0.3", port: 6001 },
        dst: { address: "127.0.0.2", port: 5353 },
      },
      owner: { process: { pid: 52, comm: "other", uid: 0 }, cgroup: { unit: "dns.service" } },
    },
  },
]).event(0, 2);

function matches(event: typeof EVENT, raw: RawQuery): boolean {
  return parseEventQuery(raw).matches?.(event) ?? true;
}

describe("filters", () => {
  const yes: RawQuery[] = [
    { type: "connect" },
    { type: ["challenge_ack", "connect"] },
    { probe: "connect", process: "curl", pid: "1234" },
    { port: "40000" },
    { port: "443" },
    { address: "10.0.0.1" },
    { address: "10.0.0.0/8" },
    { address: "::ffff:10.0.0.1" },
    { address: "2001:DB8:0::5" },
    { address: "2001:db8::/32" },
    { netns: "4711" },
    { netns: "4026531840" },
    { netns: "web" },
    { result: "ok" },
  ];
  const no: RawQuery[] = [
    { type: "challenge_ack" },
    { type: "connect", process: "wget" },
    { pid: "123" },
    { port: "4000" },
    { address: "10.0.0.2" },
    { address: "11.0.0.0/8" },
    { address: "2001:db9::/32" },
    { netns: "471" },
    { result: "EADDRNOTAVAIL" },
    { trigger: "syn" },
    { cause: "clash" },
  ];
  for (const raw of yes) {
    it(`${JSON.stringify(raw)} takes the event`, () => assert.equal(matches(EVENT, raw), true));
  }
  for (const raw of no) {
    it(`${JSON.stringify(raw)} leaves it`, () => assert.equal(matches(EVENT, raw), false));
  }

  it("look into conntrack tuples too", () => {
    assert.equal(matches(INSERT_FAILED, { port: "5000", address: "192.0.2.0/24" }), true);
    assert.equal(matches(INSERT_FAILED, { cause: ["dying", "clash"] }), true);
    assert.equal(matches(INSERT_FAILED, { port: "5001" }), false);
  });

  const parties: RawQuery[] = [
    { process: "resolver" },
    { process: "other", pid: "51" },
    { address: "10.1.0.3" },
    { netns: "31" },
    { container: CONTAINER },
    { container: CONTAINER.slice(0, 12) },
    { pod: "1b2c3d4e-0011-2233-4455-66778899aabb" },
    { unit: "dns.service" },
  ];
  for (const raw of parties) {
    it(`${JSON.stringify(raw)} finds any party of an event`, () =>
      assert.equal(matches(INSERT_FAILED, raw), true));
  }
  const strangers: RawQuery[] = [
    { container: "e5e5" },
    { unit: "dns" },
    { pod: "1b2c3d4e" },
    { process: "curl" },
    { kind: "nat_insert_race" },
  ];
  for (const raw of strangers) {
    it(`${JSON.stringify(raw)} leaves an event of others`, () =>
      assert.equal(matches(INSERT_FAILED, raw), false));
  }

  it("let notices of loss pass", () => {
    assert.equal(
      matches(gapBatch({ where: "kernel_ring", probe: "connect", missed: 3 }).event(0, 0), {
        type: "challenge_ack",
      }),
      true,
    );
  });
});

describe("the query of /events", () => {
  it("has defaults", () => {
    assert.deepEqual(parseEventQuery({}), { follow: true, ordinary: true });
    const query = parseEventQuery({ since: "0", follow: "false", limit: "1" });
    assert.deepEqual(query, { since: 0, follow: false, limit: 1, ordinary: true });
  });

  it("gives Last-Event-ID precedence, as a reconnecting client repeats its first URL", () => {
    assert.equal(parseEventQuery({ since: "5" }, "900").since, 900);
    assert.equal(parseEventQuery({ since: "5" }, "").since, 5);
  });

  const wrong: [RawQuery, RegExp][] = [
    [{ typ: "connect" }, /unknown query key "typ"; did you mean type\?/],
    [{ zzzzzzzz: "" }, /^unknown query key "zzzzzzzz"$/],
    [{ since: "-1" }, /^since: invalid value "-1", expected a whole number from 0$/],
    [{ since: "" }, /^since: invalid value ""/],
    [{ since: ["1", "2"] }, /several/],
    [{ limit: "0" }, /^limit: /],
    [{ limit: "1.5" }, /^limit: /],
    [{ follow: "yes" }, /expected true or false$/],
    [{ port: "65536" }, /^port: .* from 0 to 65535$/],
    [{ pid: "0x1" }, /^pid: /],
    [{ address: "10.0.0" }, /^address: /],
    [{ address: "10.0.0.0/33" }, /^address: /],
    [{ address: "10.0.0.0/8/8" }, /^address: /],
    [{ address: "fe80::1%eth0" }, /^address: /],
    [{ type: "Connect!" }, /^type: /],
    [{ process: "" }, /^process: /],
    [{ container: "5E5E" }, /^container: .* 4 to 64 of 0-9 and a-f$/],
    [{ port: Array(65).fill("1") }, /more than 64 filter values/],
  ];
  for (const [raw, message] of wrong) {
    it(`refuses ${JSON.stringify(raw).slice(0, 60)}`, () => {
      assert.throws(
        () => parseEventQuery(raw),
        (error: unknown) => {
          assert.ok(error instanceof HttpError);
          assert.equal(error.status, 400);
          assert.match(error.message, message);
          return true;
        },
      );
    });
  }

  it("never does anything but answer or say 400", () => {
    const key = fc.oneof(fc.constantFrom("since", "follow", "limit", ...FILTER_NAMES), fc.string());
    const value = fc.oneof(
      fc.string(),
      fc.ipV4(),
      fc.ipV6(),
      fc.tuple(fc.ipV6(), fc.nat(200)).map(([address, bits]) => `${address}/${bits}`),
      fc.integer().map(String),
      fc.constantFrom("true", "false", "__proto__"),
    );
    const values = fc.oneof(value, fc.array(value, { maxLength: 4 }));
    fc.assert(
      fc.property(fc.dictionary(key, values, { maxKeys: 4 }), fc.string(), (raw, id) => {
        try {
          const query = parseEventQuery(raw, id);
          query.matches?.(EVENT);
          query.matches?.(INSERT_FAILED);
        } catch (error) {
          assert.ok(error instanceof HttpError && error.status === 400, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("takes every whole number as since, and finds every address it is given", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.ipV6(), fc.nat(65535), (since, address, port) => {
        assert.equal(parseEventQuery({ since: String(since) }).since, since);
        const batch = new ObjectBatch("connect", [connectEvent(port, { peer: { address, port } })]);
        const raw = { address: address.toUpperCase(), port: String(port) };
        assert.equal(matches(batch.event(0, 1), raw), true);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("the Accept header", () => {
  const cases: [string | undefined, string][] = [
    [undefined, "ndjson"],
    ["*/*", "ndjson"],
    ["text/event-stream", "sse"],
    ["Text/Event-Stream; charset=utf-8", "sse"],
    ["text/event-stream, */*", "sse"],
    ["application/x-ndjson, text/event-stream;q=0.5", "ndjson"],
    ["application/x-ndjson;q=0.1, text/event-stream;q=0.5", "sse"],
    ["text/event-stream;q=0", "ndjson"],
    ["image/png", "ndjson"],
    [";;,q=", "ndjson"],
  ];
  for (const [accept, format] of cases) {
    it(`${accept} gets ${format}`, () => assert.equal(negotiateFormat(accept), format));
  }
});
