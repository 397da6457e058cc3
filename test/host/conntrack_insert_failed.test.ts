import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { suiteDaemon } from "../support/commands.ts";
import { eventsOf } from "../support/feed.ts";
import { Netns } from "../support/netns.ts";

interface Raced {
  readonly pid: number;
  readonly results: readonly string[];
  readonly moved: Readonly<Record<"insert_failed" | "drop", number>>;
}

describe("conntrack_insert_failed events", () => {
  const daemon = suiteDaemon();

  async function race(protocol: "udp" | "tcp" | "firewall", flows: number, expected: number) {
    const netns = new Netns();
    try {
      const made = netns.fault<Raced>("snat_race.py", protocol, String(flows));
      // The namespace's number alone may have been that of an earlier test's.
      const which = { netns: String(netns.inum), pid: String(made.pid) };
      const query = { type: "conntrack_insert_failed", ...which };
      return { made, events: await eventsOf(daemon.url, expected, query), name: netns.name };
    } finally {
      netns.delete();
    }
  }

  test("24 UDP flows onto one SNAT port are 23 events, as many as insert_failed moved", async () => {
    const { made, events, name } = await race("udp", 24, 23);
    assert.equal(made.moved.insert_failed, 23);
    assert.equal(made.results.filter((result) => result === "EPERM").length, 23);
    assert.equal(events.length, 23);
    events.forEach((event, index) => {
      const port = 6002 + index;
      assert.deepEqual(event.original, {
        src: { address: "127.0.0.1", port },
        dst: { address: "127.0.0.2", port: 5353 },
      });
      assert.deepEqual(event.reply, {
        src: { address: "127.0.0.2", port: 5353 },
        dst: { address: "127.0.0.1", port: 5000 },
      });
      assert.deepEqual(event.process, { pid: made.pid, comm: "python3", uid: 0 });
      assert.equal(event.attribution, "current");
      assert.equal((event.netns as { name: string }).name, name);
      assert.equal(event.zone, 0);
    });
    checkFate(events, "udp");
  });

  test("the 5th and 6th TCP connect onto 4 SNAT ports are 2 events", async () => {
    const { made, events } = await race("tcp", 6, 2);
    assert.deepEqual(made.results, ["ok", "ok", "ok", "ok", "timeout", "timeout"]);
    assert.equal(made.moved.insert_failed, 2);
    assert.equal(events.length, 2);
    for (const event of events) {
      assert.deepEqual(event.process, { pid: made.pid, comm: "python3", uid: 0 });
    }
    checkFate(events, "tcp");
  });

  test("new flows that a firewall drops are no events, although there is a NAT table", async () => {
    const { made, events } = await race("firewall", 10, 0);
    assert.deepEqual(
      made.results,
      Array.from({ length: 10 }, () => "EPERM"),
    );
    assert.deepEqual(made.moved, { insert_failed: 0, drop: 0, clash_resolve: 0, chaintoolong: 0 });
    assert.deepEqual(events, []);
  });
});

function checkFate(events: readonly Record<string, unknown>[], protocol: string): void {
  for (const event of events) {
    assert.equal(event.protocol, protocol);
    assert.equal(event.nat, "snat");
    assert.equal(event.verdict, "dropped");
    assert.equal(event.cause, "clash");
    assert.deepEqual(event.inferred, ["cause"]);
  }
}
