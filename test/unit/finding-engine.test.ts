import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FindingEngine, MAX_ACTIVE, MAX_CLOSED, MAX_SHARE } from "../../src/findings/engine.ts";
import { connectFields, endpoint, NETNS, PROCESS, QUIET_MS, Scene } from "../support/findings.ts";

const NO_PORT = connectFields({ result: "EADDRNOTAVAIL" });

/** A namespace of its own is a finding of its own. */
function elsewhere(number: number) {
  return { ...NO_PORT, netns: { cookie: String(10_000 + number), inum: number } };
}

function by(uid: number, event: object): object {
  return { ...event, process: { ...PROCESS, uid } };
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
    assert.equal(scene.emitted.length, 2, "nor is another process of one program");
    scene.take("connect", { ...NO_PORT, process: { ...PROCESS, comm: "curl", pid: 814 } });
    scene.wait(1000);
    assert.equal(scene.emitted.length, 3, "another program is");
    assert.deepEqual(
      scene.emitted[2]?.parties.map(({ process, processes }) => [process?.pid, processes]),
      [
        [812, 2],
        [814, undefined],
      ],
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
    const take = (number: number) => scene.take("connect", by(number % 4, elsewhere(number)));
    for (let i = 0; i < MAX_ACTIVE; i++) take(i);
    take(0);
    assert.equal(scene.engine.evicted, 0);
    take(MAX_ACTIVE);
    assert.equal(scene.engine.evicted, 1);
    assert.equal(scene.engine.activeFindings().length, MAX_ACTIVE);
    const gone = scene.engine.findings().filter(({ state }) => state === "closed");
    assert.deepEqual(
      gone.map(({ id, close_reason }) => [id, close_reason]),
      [["local_port_exhaustion-5", "evicted"]],
    );
    for (let i = 0; i < 2 * MAX_CLOSED; i++) take(1000 + i);
    assert.equal(scene.engine.findings().length, MAX_ACTIVE + MAX_CLOSED);
  });

  it("gives one user a share only, whatever is opened or closed", () => {
    const scene = new Scene();
    scene.take("connect", by(7, elsewhere(0)));
    scene.take("connect", by(8, elsewhere(1)));
    const closed = scene.engine.findings().at(-1)?.id;
    scene.wait(QUIET_MS - 1000);
    scene.take("connect", by(8, elsewhere(1)));
    scene.wait(1000);
    for (let i = 0; i < 3 * MAX_ACTIVE; i++) scene.take("connect", by(1000, elsewhere(100 + i)));
    const active = scene.engine.activeFindings();
    const uids = active.map(({ parties: [party] }) => party?.process?.uid);
    assert.equal(uids.filter((uid) => uid === 1000).length, MAX_SHARE);
    assert.equal(uids.filter((uid) => uid === 8).length, 1);
    assert.equal(scene.engine.evicted, 3 * MAX_ACTIVE - MAX_SHARE);
    const kept = scene.engine.findings().filter(({ id }) => id === closed);
    assert.equal(kept[0]?.state, "closed");
  });

  it("gives the users of one container no more than another group, when it is full", () => {
    const scene = new Scene();
    const pod = { path: "/kubepods/pod1/c1", container: "5e".repeat(32) };
    scene.take("connect", by(0, elsewhere(0)));
    for (let i = 1; i <= 2 * MAX_ACTIVE; i++) {
      scene.take("connect", by(100_000 + i, { ...elsewhere(i), cgroup: pod }));
    }
    const active = scene.engine.activeFindings();
    assert.equal(active.length, MAX_ACTIVE);
    assert.ok(active.some(({ parties: [party] }) => party?.process?.uid === 0));
  });

  it("keeps the worse ones of a user, and opens no lesser one in their place", () => {
    const scene = new Scene();
    const conflict = { socket_cookie: "11", local: endpoint("10.0.0.5:5000"), process: PROCESS };
    const bound = { local: endpoint("10.0.0.5:5000"), technique: "reuseaddr" };
    const udp = { protocol: "udp", ...bound, conflict };
    const own = (number: number) => ({ ...connectFields(udp), netns: elsewhere(number).netns });
    for (let i = 0; i < MAX_SHARE; i++) scene.take("connect", own(i));
    assert.equal(scene.engine.activeFindings()[0]?.severity, "info");
    for (let i = 0; i < MAX_SHARE; i++) scene.take("connect", elsewhere(1000 + i));
    const severities = () => new Set(scene.engine.activeFindings().map((one) => one.severity));
    assert.deepEqual([...severities()], ["critical"]);
    assert.deepEqual([scene.engine.evicted, scene.engine.refused], [MAX_SHARE, 0]);
    scene.take("connect", own(5000));
    assert.deepEqual([...severities()], ["critical"]);
    assert.deepEqual([scene.engine.evicted, scene.engine.refused], [MAX_SHARE, 1]);
    assert.equal(scene.engine.opened("udp_overshadowing"), MAX_SHARE);
  });

  it("keeps places among the parties for more than one user", () => {
    const scene = new Scene({ table: { entries: 5, limit: 5 } });
    const refusal = (uid: number, pid: number) => ({
      attribution: "current",
      process: { pid, comm: `flood ${pid}`, uid },
      protocol: "udp",
      original: { src: endpoint(`10.0.0.1:${pid}`), dst: endpoint("10.0.0.2:53") },
      reply: { src: endpoint("10.0.0.2:53"), dst: endpoint(`10.0.0.1:${pid}`) },
      zone: 0,
      nat: "none",
      verdict: "dropped",
      cause: "table_full",
    });
    for (let pid = 1; pid <= 50; pid++) scene.take("conntrack_insert_failed", refusal(1000, pid));
    scene.take("conntrack_insert_failed", refusal(33, 99));
    for (let pid = 51; pid <= 99; pid++) scene.take("conntrack_insert_failed", refusal(1000, pid));
    const uids = scene.only.parties.map(({ process }) => process?.uid);
    assert.deepEqual(uids, [...Array.from({ length: 7 }, () => 1000), 33]);
    assert.ok(scene.only.tuples.some(({ original }) => original?.src.port === 99));
  });

  it("keeps a bounded number of parties and tuples", () => {
    const scene = new Scene();
    for (let pid = 1; pid <= 50; pid++) {
      const peer = endpoint(`10.0.0.${pid}:443`);
      scene.take("connect", { ...NO_PORT, process: { ...PROCESS, pid, comm: `c${pid}` }, peer });
    }
    for (const { parties, tuples } of scene.engine.findings()) {
      assert.ok(parties.length <= 8 && tuples.length <= 8);
    }
    assert.equal(scene.engine.findings().length, 5, "four destinations, and one for the others");
  });

  it("takes the name of its namespace from a later event if the first had none", () => {
    const scene = new Scene();
    const netns = { cookie: "77", inum: 7 };
    scene.take("connect", { ...NO_PORT, netns });
    assert.deepEqual(scene.only.netns, netns);
    scene.take("connect", { ...NO_PORT, netns: { ...netns, name: "late" } });
    assert.deepEqual(scene.only.netns, { ...netns, name: "late" });
  });

  it("tells times as the wall clock has them since it was set", () => {
    const scene = new Scene();
    scene.take("connect", NO_PORT);
    scene.engine.shiftTimes(-3_600_000);
    assert.equal(scene.only.first_seen, "2026-03-14T14:09:26.000000000Z");
    assert.equal(scene.only.last_seen, "2026-03-14T14:09:26.000000000Z");
    scene.wait(QUIET_MS);
    assert.equal(scene.only.closed_at, "2026-03-14T15:14:26.000Z");
    scene.engine.shiftTimes(1500);
    assert.equal(scene.only.closed_at, "2026-03-14T15:14:27.500Z");
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
      clock: { nowMs: () => 0, wallMs: () => 0 },
      environment: { conntrackTable: () => undefined, locateNetns: () => ({}) },
      detectors: [broken],
    });
    engine.take({ seq: 1, atMs: 0, time: "2026-03-14T15:09:26Z", type: "connect" });
    assert.deepEqual(failures, ["conclude from an event"]);
  });
});
