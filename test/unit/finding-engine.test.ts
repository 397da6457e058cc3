import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FindingEngine, MAX_ACTIVE, MAX_CLOSED } from "../../src/findings/engine.ts";
import { connectFields, endpoint, NETNS, PROCESS, QUIET_MS, Scene } from "../support/findings.ts";

const NO_PORT = connectFields({ result: "EADDRNOTAVAIL" });

/** A namespace of its own is a finding of its own. */
function elsewhere(number: number): object {
  return { ...NO_PORT, netns: { cookie: String(10_000 + number), inum: number } };
}

describe("the engine of findings", () => {
  it("opens one finding, merges what follows, and tells each seq that it rests on", () => {
    const scene = new Scene();
    const first = scene.take("connect", NO_PORT);
    scene.wait(2500);
    const second = scene.take("connect", NO_PORT);
    const { id, state, count, evidence, first_seen, last_seen, netns } = scene.only;
    assert.deepEqual(
      { id, state, count },
      { id: "local_port_exhaustion-1", state: "active", count: 2 },
    );
    assert.deepEqual(evidence, [first, second]);
    assert.equal(first_seen, "2026-03-14T15:09:26.000000000Z");
    assert.equal(last_seen, "2026-03-14T15:09:28.500000000Z");
    assert.deepEqual(netns, NETNS);
    assert.deepEqual(scene.opened, [id]);
  });

  it("keeps the first 5 and the last 15 of a thousand seqs", () => {
    const scene = new Scene();
    for (let i = 0; i < 1000; i++) scene.take("connect", NO_PORT);
    const { evidence, evidence_count, count } = scene.only;
    const expected = [1, 2, 3, 4, 5, ...Array.from({ length: 15 }, (_, i) => 986 + i)];
    assert.deepEqual(evidence, expected);
    assert.equal(evidence_count, 1000);
    assert.equal(count, 1000);
  });

  it("tells of changes at most once a second, and only of notable ones", () => {
    const scene = new Scene();
    for (let i = 0; i < 100; i++) scene.take("connect", NO_PORT);
    assert.deepEqual(
      scene.emitted.map(({ count }) => count),
      [1],
    );
    scene.wait(1000);
    assert.deepEqual(
      scene.emitted.map(({ count }) => count),
      [1, 100],
    );
    scene.take("connect", NO_PORT);
    scene.wait(3000);
    assert.equal(scene.emitted.length, 2, "one more of a hundred is no news");
    scene.take("connect", { ...NO_PORT, process: { ...PROCESS, pid: 813 } });
    scene.wait(1000);
    assert.equal(scene.emitted.length, 3, "another process is");
    assert.deepEqual(
      scene.emitted[2]?.parties.map(({ process }) => process?.pid),
      [812, 813],
    );
  });

  it("closes what is quiet, and opens another when it comes again", () => {
    const scene = new Scene();
    scene.take("connect", NO_PORT);
    scene.wait(QUIET_MS - 1000);
    assert.equal(scene.engine.activeFindings().length, 1);
    scene.take("connect", NO_PORT);
    scene.wait(QUIET_MS - 1000);
    assert.equal(scene.only.state, "active");
    scene.wait(1000);
    assert.equal(scene.only.state, "closed");
    assert.equal(scene.only.close_reason, "quiet");
    assert.equal(scene.engine.activeFindings().length, 0);
    assert.deepEqual(scene.closed, ["local_port_exhaustion-1"]);
    assert.equal(scene.emitted.at(-1)?.state, "closed");
    scene.take("connect", NO_PORT);
    assert.deepEqual(
      scene.engine.findings().map(({ id, state, count }) => [id, state, count]),
      [
        ["local_port_exhaustion-2", "active", 1],
        ["local_port_exhaustion-1", "closed", 2],
      ],
    );
    assert.equal(scene.engine.opened("local_port_exhaustion"), 2);
  });

  it("keeps a bounded number; the one quiet for longest makes room", () => {
    const scene = new Scene();
    for (let i = 0; i < MAX_ACTIVE; i++) scene.take("connect", elsewhere(i));
    scene.take("connect", elsewhere(0));
    assert.equal(scene.engine.evicted, 0);
    scene.take("connect", elsewhere(MAX_ACTIVE));
    assert.equal(scene.engine.evicted, 1);
    assert.equal(scene.engine.activeFindings().length, MAX_ACTIVE);
    const gone = scene.engine.findings().filter(({ state }) => state === "closed");
    assert.deepEqual(
      gone.map(({ id, close_reason }) => [id, close_reason]),
      [["local_port_exhaustion-2", "evicted"]],
    );
    for (let i = 0; i < 2 * MAX_CLOSED; i++) scene.take("connect", elsewhere(1000 + i));
    assert.equal(scene.engine.findings().length, MAX_ACTIVE + MAX_CLOSED);
  });

  it("keeps a bounded number of parties and tuples", () => {
    const scene = new Scene();
    for (let pid = 1; pid <= 50; pid++) {
      const peer = endpoint(`10.0.0.${pid}:443`);
      scene.take("connect", { ...NO_PORT, process: { ...PROCESS, pid }, peer });
    }
    for (const { parties, tuples } of scene.engine.findings()) {
      assert.ok(parties.length <= 8 && tuples.length <= 8);
    }
    assert.equal(scene.engine.findings().length, 5, "four destinations, and one for the others");
  });

  it("goes on after a detector's mistake", () => {
    const failures: string[] = [];
    const broken = { types: ["connect"], take: () => assert.fail("on purpose") };
    const engine = new FindingEngine({
      sink: {
        emit: () => {},
        opened: () => {},
        closed: () => {},
        failed: (operation: string) => void failures.push(operation),
      },
      quietMs: QUIET_MS,
      environment: { conntrackTable: () => undefined },
      detectors: [broken],
    });
    engine.take({ seq: 1, time: "2026-03-14T15:09:26Z", type: "connect" });
    assert.deepEqual(failures, ["conclude from an event"]);
  });
});
