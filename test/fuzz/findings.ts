import assert from "node:assert/strict";
import fc from "fast-check";
import { PROBE_EVENT_BODIES } from "../../src/events/bodies.gen.ts";
import { EVENT_SCHEMAS } from "../../src/events/events.schema.ts";
import { FindingEngine, MAX_ACTIVE, MAX_CLOSED } from "../../src/findings/engine.ts";
import type { FindingJson } from "../../src/findings/finding.ts";
import { createLocateNetns } from "../../src/findings/locate-netns.ts";
import type { ObservedEvent } from "../../src/findings/observed.ts";
import type { PortQueryResult } from "../../src/ports/query.ts";
import { checkEvent } from "../support/schema.ts";
import type { FuzzTarget } from "./target.ts";
import { instanceOf } from "./values.ts";

const QUIET_MS = 300_000;
const MAX_PAUSE_MS = 20_000;

/** To put hundreds of findings into words takes longer than a case. */
const CASES_PER_LOOK = 50;

const schemas = Object.keys(PROBE_EVENT_BODIES).map((type) => EVENT_SCHEMAS[type] ?? {});

const step = fc.record({
  event: fc.oneof(...schemas.map((schema) => instanceOf(schema))),
  pauseMs: fc.oneof(fc.nat(5), fc.nat(300), fc.nat(MAX_PAUSE_MS)),
});

const portQueryResult: fc.Arbitrary<PortQueryResult | undefined> = fc.option(
  fc.record({
    range: fc.record({ low: fc.nat(65_535), high: fc.nat(65_535), available: fc.nat(65_535) }),
    taken: fc.record({
      total: fc.nat(65_535),
      towards: fc.nat(65_535),
      locked: fc.nat(65_535),
      waiting: fc.nat(65_535),
    }),
    settings: fc.option(fc.record({ twReuse: fc.nat(2), timestamps: fc.nat(2) }), {
      nil: undefined,
    }),
    lockers: fc.constant([]),
    sockets: fc.constant([]),
    holders: fc.array(
      fc.record(
        {
          process: fc.record({ pid: fc.constantFrom(812, 813), comm: fc.string() }),
          without: fc.constantFrom("time_wait", "orphaned", "closed", "unknown"),
          ports: fc.nat(65_535),
        },
        { requiredKeys: ["ports"], noNullPrototype: true },
      ),
      { maxLength: 4 },
    ),
  }),
  { nil: undefined },
);

/** One engine for all cases: what it keeps must be bounded. */
export const findings: FuzzTarget = {
  name: "findings",
  weight: 1,
  growthBytes: 16 << 20,
  create: () => {
    const errors: unknown[] = [];
    let nowMs = Date.parse("2026-03-14T15:09:26Z");
    let seq = 0;
    let cases = 0;
    let result: PortQueryResult | undefined;
    const emit = (finding: FindingJson) => checkEvent(asEvent(finding, nowMs));
    const tell = () => {};
    const engine = new FindingEngine({
      sink: { emit, opened: tell, closed: tell, failed: (_, error) => errors.push(error) },
      quietMs: QUIET_MS,
      environment: {
        conntrackTable: () => ({ entries: 1, limit: 1 }),
        locateNetns: createLocateNetns(),
      },
      clock: { nowMs: () => nowMs, wallMs: (atMs) => atMs },
      queryPorts: async () => result,
    });
    return fc.asyncProperty(
      fc.array(step, { maxLength: 8 }),
      portQueryResult,
      async (steps, given) => {
        result = given;
        for (const { event, pauseMs } of steps) {
          nowMs += pauseMs;
          const time = new Date(nowMs).toISOString();
          engine.take({ ...(event as ObservedEvent), seq: ++seq, atMs: nowMs, time });
          engine.tick();
        }
        await new Promise((resolve) => setImmediate(resolve));
        const [error] = errors.splice(0);
        if (error !== undefined) throw error;
        if (++cases % CASES_PER_LOOK !== 0) return;
        assert.ok(engine.findings().length <= MAX_ACTIVE + MAX_CLOSED);
      },
    );
  },
};

function asEvent(finding: FindingJson, nowMs: number): { type: string } {
  const text = JSON.stringify({ ...finding, seq: 1, time: new Date(nowMs).toISOString() });
  return { ...JSON.parse(text), type: "finding" };
}
