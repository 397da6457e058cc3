import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { CensusDesk } from "../../src/findings/census-desk.ts";
import type { CensusAnswer, CensusQuestion, Detector } from "../../src/findings/detector.ts";

const QUESTION: CensusQuestion = {
  key: "somewhere",
  netns: { inum: 1 },
  pid: undefined,
  protocol: "tcp",
  holdersFrom: 1,
};

test("a question that comes while the same is being answered is asked again, once", async () => {
  const asked: ((answer: CensusAnswer | undefined) => void)[] = [];
  let answers = 0;
  const detector: Detector = {
    types: [],
    take: () => ({}),
    answer: () => {
      answers++;
      return [];
    },
  };
  const desk = new CensusDesk({ failed: assert.fail }, () => {});
  desk.census = { ask: () => new Promise((resolve) => asked.push(resolve)) };
  for (let i = 0; i < 3; i++) desk.ask(detector, QUESTION);
  assert.equal(asked.length, 1, "one at a time");
  asked[0]?.(undefined);
  await turn();
  assert.equal(asked.length, 2);
  asked[1]?.(undefined);
  await turn();
  assert.deepEqual([asked.length, answers], [2, 2]);
});
