import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseEventQuery, type RawQuery } from "../../src/http/query/event-query.ts";
import { OrdinaryDemand } from "../../src/http/stream/ordinary-demand.ts";
import { until } from "../support/until.ts";

describe("a stream may have connects that went as they should", () => {
  const cases: [RawQuery, boolean][] = [
    [{}, true],
    [{ type: "connect" }, true],
    [{ type: ["challenge_ack", "connect"], port: "443" }, true],
    [{ probe: "connect", result: "ok", process: "curl" }, true],
    [{ type: "challenge_ack" }, false],
    [{ probe: "stale_flow" }, false],
    [{ result: "ECONNREFUSED" }, false],
    [{ kind: "nat_insert_race" }, false],
    [{ trigger: "syn" }, false],
    [{ cause: "clash", type: "connect" }, false],
  ];
  for (const [query, expected] of cases) {
    it(`${JSON.stringify(query)}: ${expected}`, () => {
      assert.equal(parseEventQuery(query).ordinary, expected);
    });
  }
});

describe("the demand for them", () => {
  it("is told when it begins and when it ends, however many streams there are", async () => {
    const told: boolean[] = [];
    const demand = new OrdinaryDemand(async (wanted) => void told.push(wanted));
    await demand.add();
    await demand.add();
    demand.remove();
    assert.deepEqual([told, demand.wanted], [[true], true]);
    demand.remove();
    await until(() => told.length === 2, "told");
    assert.deepEqual([told, demand.wanted], [[true, false], false]);
  });

  it("is told in order, one at a time, as it is by then", async () => {
    const told: boolean[] = [];
    let answer = () => {};
    let open = 0;
    const demand = new OrdinaryDemand(async (wanted) => {
      assert.equal(++open, 1, "one at a time");
      told.push(wanted);
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
      open--;
    });
    const first = demand.add();
    await until(() => told.length === 1, "the first");
    demand.remove();
    const second = demand.add();
    answer();
    await first;
    await until(() => told.length === 2, "the second");
    answer();
    await until(() => told.length === 3, "the third");
    answer();
    await second;
    assert.equal(told.at(-1), true);
  });

  it("is told again where nobody answered", async () => {
    const told: boolean[] = [];
    const demand = new OrdinaryDemand(async (wanted) => {
      if (told.push(wanted) === 1) throw new Error("no answer");
    });
    await demand.add();
    await until(() => told.length === 2, "told again");
    assert.deepEqual(told, [true, true]);
  });

  it("does not hold a stream back for long", async () => {
    const demand = new OrdinaryDemand(() => new Promise(() => {}));
    await demand.add();
    assert.ok(demand.wanted);
  });
});
