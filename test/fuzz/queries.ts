import assert from "node:assert/strict";
import { parse } from "node:querystring";
import fc from "fast-check";
import { acceptsGzip, negotiateFormat } from "../../src/http/accept.ts";
import { errorBody, HttpError } from "../../src/http/errors.ts";
import { parseEventQuery, type RawQuery } from "../../src/http/query/event-query.ts";
import { FILTER_NAMES } from "../../src/http/query/filters.ts";
import { FINDING_QUERY, parseFindingQuery } from "../../src/http/query/finding-query.ts";
import { parsePortQuery } from "../../src/http/query/port-query.ts";
import { connectBatch } from "../support/events.ts";
import { type FuzzTarget, INHERITED, textOf, unless } from "./target.ts";

const KEYS = [
  ...FILTER_NAMES,
  ...Object.keys(FINDING_QUERY),
  ...INHERITED,
  "follow",
  "limit",
  "protocol",
  "since",
];

const VALUES = [
  "0",
  "443",
  "65536",
  "9007199254740993",
  "-1",
  "1e3",
  "true",
  "10.0.0.0/8",
  "::ffff:10.0.0.1",
  "2001:db8::/129",
  "fe80::1%eth0",
  "/",
  "tcp",
  "active",
  "connect",
  "deadbeef",
  "%00",
  "q=",
  ",;=",
];

const value = textOf(VALUES, 4);
const key = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...KEYS) },
  { weight: 1, arbitrary: textOf(KEYS, 3) },
);

/** As a client may write it, and as no client can. */
const rawQuery: fc.Arbitrary<RawQuery> = fc.oneof(
  fc.array(fc.tuple(key, value), { maxLength: 8 }).map((pairs) => {
    const text = pairs.map(([name, what]) => `${name}=${what}`).join("&");
    return parse(text) as RawQuery;
  }),
  fc.dictionary(key, fc.oneof(value, fc.array(value, { maxLength: 70 })), { maxKeys: 5 }),
);

const EVENT = connectBatch(1).event(0, 1);
const ROW = { kind: "nat_insert_race", severity: "info", state: "active" } as const;
const MAX_ERROR_BYTES = 4096;

/** A query is understood, or refused with 400 in a few words. */
function parsed<T>(parser: () => T): T | undefined {
  return unless((error) => {
    if (!(error instanceof HttpError)) return false;
    assert.equal(error.status, 400);
    const body = errorBody(error.code, error.message, error.details);
    assert.ok(JSON.parse(body).error.message.length > 0);
    assert.ok(body.length <= MAX_ERROR_BYTES, `an answer of ${body.length} bytes`);
    return true;
  }, parser);
}

export const queries: FuzzTarget = {
  name: "queries",
  weight: 6,
  create: () =>
    fc.property(rawQuery, value, (query, header) => {
      const events = parsed(() => parseEventQuery(query, header));
      assert.equal(typeof (events?.matches?.(EVENT) ?? false), "boolean");
      assert.ok((events?.since ?? 0) >= 0 && (events?.limit ?? 1) >= 1);
      parsed(() => parseEventQuery(query));
      const wanted = parsed(() => parseFindingQuery(query, Date.now()));
      assert.equal(typeof (wanted?.(ROW) ?? true), "boolean");
      parsed(() => parsePortQuery(query));
      assert.ok(["ndjson", "sse"].includes(negotiateFormat(header)));
      acceptsGzip(header);
    }),
};
