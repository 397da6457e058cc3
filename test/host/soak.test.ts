import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { growth } from "../soak/memory.ts";
import { lostInKernel, type SoakResult, soak } from "../soak/soak.ts";
import type { Stages } from "../support/conservation.ts";

/** A short one; `npm run soak` looks at memory for longer. */
const OPTIONS = { amount: { rounds: 4 }, rate: 5000, roundSeconds: 3, withModule: false };
/** Too short for caches to fill: only a leak of whole batches would show. */
const MAX_GROWTH_MIB = 48;
/** Made by each round of load: two challenges, and an outcome of each. */
const CHALLENGE_RECORDS = 4;
const CONNECTS = OPTIONS.rate * OPTIONS.roundSeconds + 61;

describe("under load, stopped at times, with readers that come and go", () => {
  let result: SoakResult;

  before(async () => {
    result = await soak({ ...OPTIONS, say: () => {} });
  });

  function stages(probe: string): Stages {
    const found = result.account.probes.get(probe);
    assert.ok(found, probe);
    return found;
  }

  test("each connect() is emitted, lost or filtered, and each one emitted is delivered", (t) => {
    const counts = stages("connect");
    t.diagnostic(JSON.stringify({ ...counts, stops: result.stops }));
    assert.equal(result.stops, result.rounds);
    assert.equal(result.connects, result.rounds * CONNECTS);
    assert.equal(counts.attempted, result.connects);
    assert.equal(counts.emitted + counts.lost + counts.filtered, result.connects);
    assert.equal(counts.delivered, counts.emitted);
    assert.equal(counts.malformed, 0);
  });

  test("so are the few challenges among them", () => {
    const { attempted, delivered, lost, filtered } = stages("challenge_ack");
    assert.ok(attempted >= result.rounds * CHALLENGE_RECORDS, `${attempted}`);
    assert.deepEqual([delivered, lost, filtered], [attempted, 0, 0]);
  });

  test("readers have each event, or are told how many they missed", (t) => {
    const { readers, events, missed } = result.readers;
    t.diagnostic(JSON.stringify(result.readers));
    assert.ok(readers >= 2 + result.rounds, `${readers} readers`);
    // The two that stay account for all that was appended; the others for parts of it.
    assert.ok(events + missed >= 2 * result.account.appended);
    assert.equal(result.lostInKernel, lostInKernel(result.account));
  });

  test("no memory is lost by the batch", (t) => {
    const { settled } = result.memory;
    t.diagnostic(settled.map((mib) => mib.toFixed(1)).join(", "));
    assert.ok(growth(settled) < MAX_GROWTH_MIB, `${growth(settled)} MiB`);
  });
});
