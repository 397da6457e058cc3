import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { Registry } from "prom-client";
import type { EventBatch } from "../../src/events/event.ts";
import { Intake, type ObservedRecord } from "../../src/intake/intake.ts";
import { Journal } from "../../src/journal/journal.ts";
import { Cgroups, isUnified } from "../../src/names/cgroups.ts";
import { NetnsNames } from "../../src/names/netns.ts";
import type { NetnsAnswer, NetnsQuestion } from "../../src/names/netns-resolver.ts";
import { connect } from "../../src/probes/connect.ts";
import { conntrackInsertFailed } from "../../src/probes/conntrack_insert_failed.ts";
import type { Probe, RecordType } from "../../src/probes/probe.ts";
import { type Fields, recordBytes, ringRecords } from "../support/ring-records.ts";

const INUM = 4_026_532_000;
const [CONNECT] = connect.recordTypes;

/** Names namespaces by their cookie, until they are moved. */
class Namespaces {
  readonly names = new Map<number, string>();
  asked: NetnsQuestion[] = [];

  resolve(question: NetnsQuestion): NetnsAnswer | undefined {
    this.asked.push(question);
    const name = this.names.get(question.cookie ?? 0);
    if (name === undefined) return undefined;
    const file = { name, path: `/run/netns/${name}`, inum: INUM, inodeMadeAtMs: 1 };
    return { name, file, isProven: true };
  }

  confirm({ cookie }: NetnsQuestion, { name }: NetnsAnswer): boolean {
    return this.names.get(cookie ?? 0) === name;
  }
}

class Pipeline {
  readonly namespaces = new Namespaces();
  readonly paths = new Map<number, string>();
  readonly observed: ObservedRecord[] = [];
  readonly #journal = new Journal({ maxEvents: 100_000, maxBytes: 64 << 20 });
  readonly #intake: Intake;

  constructor(probe: Probe) {
    this.#intake = new Intake(this.#journal, new Registry(), [probe], {
      cgroups: new Cgroups(undefined, (id) => this.paths.get(id)),
      netns: new NetnsNames(this.namespaces),
      observe: (event) => this.observed.push(event),
    });
  }

  take(probe: Probe, records: readonly (readonly [RecordType, Fields])[]): void {
    const bytes = records.map(([type, fields]) => recordBytes(type, fields));
    this.#intake.take(ringRecords(probe, bytes));
  }

  connects(...records: readonly Fields[]): void {
    this.take(
      connect,
      records.map((fields) => [CONNECT, fields] as const),
    );
  }

  /** All events so far. */
  events(): Record<string, unknown>[] {
    const found: EventBatch[] = [];
    for (let at = this.#journal.headOrdinal; at < this.#journal.endOrdinal; at++) {
      const batch = this.#journal.entryAt(at)?.batch;
      if (batch !== undefined) found.push(batch);
    }
    return found.flatMap((batch) =>
      Array.from({ length: batch.count }, (_, i) => ({ ...batch.event(i, i) })),
    );
  }

  netnsNames(): unknown[] {
    return this.events().map(({ netns }) => (netns as { name?: string }).name);
  }

  cgroupPaths(): unknown[] {
    return this.events().map(({ cgroup }) => (cgroup as { path?: string } | undefined)?.path);
  }
}

function inNetns(cookie: number, pid = 0): Fields {
  return { "head.netns_cookie": cookie, "head.netns_inum": INUM, "head.process.pid": pid };
}

describe("names of a batch", () => {
  it("are each record's own, whatever stands beside it, and looked up once for each", () => {
    const pipeline = new Pipeline(connect);
    for (const cookie of [1, 2, 3]) pipeline.namespaces.names.set(cookie, `ns-${cookie}`);
    const cookies = Array.from({ length: 600 }, (_, index) => 1 + ((index * 7) % 3));
    pipeline.connects(...cookies.map((cookie) => inNetns(cookie)));
    assert.deepEqual(
      pipeline.netnsNames(),
      cookies.map((cookie) => `ns-${cookie}`),
    );
    assert.equal(pipeline.namespaces.asked.length, 3);
  });

  it("are right for more participants than are remembered", () => {
    const pipeline = new Pipeline(connect);
    const ids = Array.from({ length: 3000 }, (_, index) => 100 + index);
    for (const id of ids) pipeline.paths.set(id, `/cgroup-${id}`);
    pipeline.connects(...[...ids, ...ids.slice(0, 1000)].map((id) => ({ "head.cgroup_id": id })));
    const expected = [...ids, ...ids.slice(0, 1000)].map((id) => `/cgroup-${id}`);
    assert.deepEqual(pipeline.cgroupPaths(), expected);
  });

  it("are not taken over by the next batch when the name has moved", () => {
    const pipeline = new Pipeline(connect);
    pipeline.namespaces.names.set(1, "web");
    pipeline.connects(inNetns(1), inNetns(2));
    pipeline.namespaces.names.delete(1);
    pipeline.namespaces.names.set(2, "web");
    pipeline.connects(inNetns(1));
    assert.deepEqual(pipeline.netnsNames(), ["web", undefined, undefined]);
  });

  it("tell a later namespace of the same number from the one before", () => {
    const pipeline = new Pipeline(connect);
    pipeline.namespaces.names.set(1, "old");
    pipeline.connects(inNetns(1), inNetns(2), inNetns(1));
    assert.deepEqual(pipeline.netnsNames(), ["old", undefined, "old"]);
  });

  it("that one process does not lead to are looked for by another", () => {
    const pipeline = new Pipeline(connect);
    pipeline.connects(inNetns(9, 11), inNetns(9, 11), inNetns(9, 12), inNetns(9, 11));
    assert.deepEqual(
      pipeline.namespaces.asked.map(({ pid }) => pid),
      [11, 12],
    );
  });

  it("are those of the process in its root cgroup, and none where it has ended", () => {
    const pipeline = new Pipeline(connect);
    const own = { "head.process.pid": process.pid, "head.cgroup_id": 1 };
    const { pid } = spawnSync("true");
    const ended = { "head.process.pid": pid, "head.cgroup_id": 1 };
    pipeline.connects(
      own,
      ended,
      { "head.cgroup_id": 1 },
      { "head.process.pid": process.pid },
      own,
    );
    const [first, gone, nobody, unasked, last] = pipeline.cgroupPaths();
    assert.equal(typeof first, "string");
    const root = isUnified(readFileSync("/proc/self/cgroup", "utf8")) ? "/" : undefined;
    assert.deepEqual([gone, nobody, unasked, last], [root, root, undefined, first]);
  });
});

describe("a batch of several types of records", () => {
  it("keeps the order of the ring, with each record's type, names and number", () => {
    const [refused, accepted] = conntrackInsertFailed.recordTypes as [RecordType, RecordType];
    const pipeline = new Pipeline(conntrackInsertFailed);
    for (const id of [21, 22, 23, 24]) pipeline.paths.set(id, `/c${id}`);
    const owner = { "owner.time_ns": 1, "owner.cgroup_id": 23, "owner.process.pid": 5 };
    const winner = { has_winner: 1, "winner_owner.time_ns": 1, "winner_owner.cgroup_id": 24 };
    pipeline.take(conntrackInsertFailed, [
      [accepted, { "head.cgroup_id": 21, protocol: 17 }],
      [refused, { "head.cgroup_id": 22, protocol: 17, ...owner, ...winner }],
      [accepted, { "head.cgroup_id": 22, protocol: 6 }],
    ]);
    const events = pipeline.events();
    assert.deepEqual(
      events.map(({ type }) => type),
      ["flow_retry", "conntrack_insert_failed", "flow_retry"],
    );
    assert.deepEqual(pipeline.cgroupPaths(), ["/c21", "/c22", "/c22"]);
    const { owner: found, winner: holder } = events[1] as unknown as {
      owner: { cgroup: { path: string } };
      winner: { owner: { cgroup: { path: string } } };
    };
    assert.equal(found.cgroup.path, "/c23");
    assert.equal(holder.owner.cgroup.path, "/c24");
    assert.deepEqual(
      pipeline.observed.map(({ seq, type }) => [seq, type]),
      [
        [1, "flow_retry"],
        [2, "conntrack_insert_failed"],
        [3, "flow_retry"],
      ],
    );
  });
});

describe("copies of records", () => {
  it("stay as they were while others follow, small and large", () => {
    const pipeline = new Pipeline(connect);
    const pids: number[] = [];
    for (let round = 1; round <= 400; round++) {
      const batch = Array.from(
        { length: round % 9 === 0 ? 500 : round % 9 },
        (_, i) => 1000 * round + i,
      );
      pids.push(...batch);
      pipeline.connects(
        ...batch.map((pid) => ({ "head.process.pid": pid, "head.attribution": 1 })),
      );
    }
    const found = pipeline.events().map(({ process: one }) => (one as { pid: number }).pid);
    assert.deepEqual(found, pids);
  });
});
