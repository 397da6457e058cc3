import assert from "node:assert/strict";
import { test } from "node:test";
import type { Detector } from "../../src/findings/detector.ts";
import { PortQueryQueue } from "../../src/findings/port-query-queue.ts";
import type { PortQuery, PortQueryResult } from "../../src/ports/query.ts";
import { yieldToEventLoop } from "../../src/util/yielding.ts";

const QUERY: PortQuery = {
  key: "somewhere",
  netns: { inum: 1 },
  pid: undefined,
  protocol: "tcp",
};

test("a query that comes while the same is being answered runs again, once", async () => {
  const running: ((result: PortQueryResult | undefined) => void)[] = [];
  let results = 0;
  const detector: Detector = {
    types: [],
    take: () => ({}),
    resolve: () => {
      results++;
      return [];
    },
  };
  const queryPorts = () =>
    new Promise<PortQueryResult | undefined>((resolve) => void running.push(resolve));
  const queue = new PortQueryQueue({ failed: assert.fail }, () => {}, queryPorts);
  for (let i = 0; i < 3; i++) queue.enqueue(detector, QUERY);
  assert.equal(running.length, 1, "one at a time");
  running[0]?.(undefined);
  await yieldToEventLoop();
  assert.equal(running.length, 2);
  running[1]?.(undefined);
  await yieldToEventLoop();
  assert.deepEqual([running.length, results], [2, 2]);
});

test("of too many queries those who have most do without, and that is counted", async () => {
  const answered: (string | undefined)[] = [];
  const unanswered: (string | undefined)[] = [];
  const detector: Detector = {
    types: [],
    take: () => ({}),
    resolve: ({ principal }, result) => {
      (result === undefined ? unanswered : answered).push(principal?.user);
      return [];
    },
  };
  const result = { holders: [] } as unknown as PortQueryResult;
  const queue = new PortQueryQueue(
    { failed: assert.fail },
    () => {},
    async () => result,
  );
  const ask = (user: string, number: number) =>
    queue.enqueue(detector, { ...QUERY, key: `${user} ${number}`, principal: { group: "", user } });
  for (let i = 0; i < 300; i++) ask("crowd", i);
  ask("other", 0);
  assert.deepEqual(new Set(unanswered), new Set(["crowd"]));
  assert.equal(queue.dropped, 301 - 16);
  while (answered.length < 16) await yieldToEventLoop();
  assert.ok(answered.includes("other"));
});
