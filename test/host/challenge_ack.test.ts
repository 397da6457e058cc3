import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { provokeChallenges } from "../support/challenge-faults.ts";
import { Seen, testChallenges } from "../support/challenges.ts";
import { suiteDaemon } from "../support/commands.ts";
import { metric } from "../support/feed.ts";
import { Netns } from "../support/netns.ts";

describe("challenge_ack events", () => {
  const daemon = suiteDaemon(["--backend", "drop_tracepoint"]);
  let netns: Netns;
  let seen: Seen;

  before(async () => {
    netns = new Netns();
    seen = await Seen.by(daemon.url, await provokeChallenges(netns), netns);
  });
  after(async () => {
    netns.delete();
  });

  testChallenges("drop_tracepoint", () => seen);

  test("the metrics count the outcomes, and every attempt is accounted for", async () => {
    const outcomes = await metric(daemon.url, "tuplewatch_challenge_ack_outcomes_total");
    assert.equal(outcomes.get('{outcome="reset_by_peer"}'), 2);
    assert.equal(outcomes.get('{outcome="closed"}'), 1);
    const total = async (name: string) =>
      (await metric(daemon.url, `tuplewatch_events_${name}_total`)).get('{probe="challenge_ack"}');
    assert.equal(await total("attempted"), await total("delivered"));
    assert.equal(await total("lost"), 0);
  });
});
