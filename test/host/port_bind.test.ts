import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { getStatus } from "../support/api.ts";
import { suiteDaemon } from "../support/commands.ts";
import { conservation } from "../support/conservation.ts";
import type { ParsedEvent } from "../support/events.ts";
import { eventsOf, metric } from "../support/feed.ts";
import { Netns } from "../support/netns.ts";
import {
  bindPorts,
  checkPortBinds,
  countsBetween,
  expectedCounts,
  NO_PORT_BIND,
  PORT_BIND_EVENTS,
  PORT_BIND_KINDS,
  type PortBinds,
} from "../support/port-binds.ts";

const COUNTER = "tuplewatch_port_bind_events_total";

describe("port_bind", () => {
  const daemon = suiteDaemon(["--probes", "connect,port_bind"]);
  const netns = new Netns();
  let made: PortBinds;
  let events: ParsedEvent[] = [];
  let counts: Record<string, number> = {};

  before(async () => {
    const countsBefore = await metric(daemon.url, COUNTER);
    made = bindPorts(netns);
    const query = { type: "port_bind", netns: String(netns.inum) };
    events = await eventsOf(daemon.url, PORT_BIND_EVENTS, query);
    counts = countsBetween(countsBefore, await metric(daemon.url, COUNTER));
  });
  after(() => netns.delete());

  for (const kind of Object.keys(PORT_BIND_KINDS)) {
    test(`each failure of ${kind} is an event`, () => checkPortBinds(events, made, kind));
  }

  test(`nothing else is: ${Object.keys(NO_PORT_BIND).join(", ")}`, () => {
    const kinds = new Set(events.map(({ process }) => (process as { comm: string }).comm));
    assert.deepEqual(kinds, new Set(Object.keys(PORT_BIND_KINDS)));
    assert.equal(events.length, PORT_BIND_EVENTS);
  });

  test("a UDP connect() without a port is one of the other probe", async () => {
    const query = { type: "connect", netns: String(netns.inum), result: "EAGAIN" };
    assert.equal((await eventsOf(daemon.url, 3, query)).length, 3);
  });

  test("calls are counted by protocol, result and technique", async () => {
    const probes = (await getStatus(daemon.url)).kernel?.probes ?? [];
    const backend = probes.find(({ probe }) => probe === "port_bind")?.backend;
    const expected = expectedCounts(backend !== "syscall_tracepoint");
    const failures = (all: Record<string, number>) =>
      Object.fromEntries(Object.entries(all).filter(([what]) => !what.includes(" ok ")));
    assert.deepEqual(failures(counts), failures(expected));
    // Anybody on this machine may take a port meanwhile.
    for (const [what, count] of Object.entries(expected)) {
      assert.ok((counts[what] ?? 0) >= count, `${what}: ${counts[what]}`);
    }
  });

  test("each record is accounted for", async () => {
    const { attempted, delivered } = await conservation(daemon.url, "port_bind");
    const all = await eventsOf(daemon.url, PORT_BIND_EVENTS, { type: "port_bind" });
    assert.deepEqual([attempted, delivered], [all.length, all.length]);
  });
});
