import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HttpError } from "../../src/http/errors.ts";
import type { RawQuery } from "../../src/http/query/event-query.ts";
import { type FindingRow, parseFindingQuery } from "../../src/http/query/finding-query.ts";

const NOW_MS = Date.parse("2026-03-14T15:00:00Z");

const ROWS: Record<string, FindingRow> = {
  active: { kind: "nat_insert_race", severity: "warning", state: "active" },
  fresh: {
    kind: "conntrack_table_full",
    severity: "critical",
    state: "closed",
    closed_at: "2026-03-14T14:00:01Z",
  },
  old: {
    kind: "nat_insert_race",
    severity: "warning",
    state: "closed",
    closed_at: "2026-03-14T13:59:59Z",
  },
};

describe("the query of /findings", () => {
  const cases: [RawQuery, string[]][] = [
    [{}, ["active", "fresh"]],
    [{ state: "all" }, ["active", "fresh", "old"]],
    [{ state: "closed" }, ["fresh", "old"]],
    [{ state: ["active", "closed"] }, ["active", "fresh", "old"]],
    [{ state: "active" }, ["active"]],
    [{ kind: "nat_insert_race" }, ["active"]],
    [{ kind: "nat_insert_race", state: "all" }, ["active", "old"]],
    [{ severity: ["critical", "info"] }, ["fresh"]],
    [{ severity: "critical", kind: "nat_insert_race" }, []],
  ];
  for (const [raw, names] of cases) {
    it(`${JSON.stringify(raw)} gives ${names.join(", ") || "nothing"}`, () => {
      const wanted = parseFindingQuery(raw, NOW_MS);
      const found = Object.entries(ROWS).flatMap(([name, row]) => (wanted(row) ? [name] : []));
      assert.deepEqual(found, names);
    });
  }

  for (const raw of [{ sevrity: "info" }, { severity: "bad" }, { kind: "" }, { toString: "x" }]) {
    it(`refuses ${JSON.stringify(raw)}`, () => {
      assert.throws(
        () => parseFindingQuery(raw as RawQuery, NOW_MS),
        (error: unknown) => error instanceof HttpError && error.status === 400,
      );
    });
  }
});
