import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { suiteDaemon } from "../support/commands.ts";
import { checkShared } from "../support/connect-kinds.ts";
import { type Attempts, provoke, tally } from "../support/connects.ts";
import { eventsOf, metric } from "../support/feed.ts";
import { Netns } from "../support/netns.ts";

const COUNT = 23;

/** Ports of fewer sockets than that are seldom shared. */
const SHARING = 48;
const FEW_PORTS = { "net.ipv4.ip_local_port_range": "30000\t30031" };
const EIGHT_PORTS = { "net.ipv4.ip_local_port_range": "30000\t30007" };

/** How a socket comes by its port, in events of connects. */
describe("ports of connects", () => {
  const daemon = suiteDaemon();

  const conflicts = async () =>
    (await metric(daemon.url, "tuplewatch_connect_conflicts_total")).get("") ?? 0;

  const ways = {
    udp_shared: "plain",
    udp_shared_bind0: "bind_before_connect",
    udp_shared_any: "bind_before_connect",
    udp_shared_ipv6: "plain",
    udp_shared_reuseport: "plain",
  };
  for (const [kind, technique] of Object.entries(ways)) {
    test(`${kind}: of ${SHARING} UDP sockets on 32 ports those that share one name the other`, async () => {
      const before = await conflicts();
      const { made, events } = await provoke(daemon.url, kind, SHARING, SHARING, FEW_PORTS);
      const shared = checkShared(events, made);
      const ports = new Set(made.attempts.map(({ local: [, port] }) => port));
      assert.equal(shared, SHARING - ports.size);
      assert.ok(shared >= SHARING - 32);
      assert.deepEqual(tally(events, "technique"), { [technique]: SHARING });
      assert.equal((await conflicts()) - before, shared);
    });
  }

  test("a UDP socket that connects where another one is no longer has no conflict", async () => {
    const { events } = await provoke(daemon.url, "udp_shared_moved", COUNT, 2 * COUNT);
    assert.deepEqual(tally(events, "conflict"), { undefined: 2 * COUNT });
  });

  test("a UDP connect that failed has no conflict, in no count", async () => {
    const before = await conflicts();
    const { events } = await provoke(daemon.url, "udp_pair_denied", COUNT, 2 * COUNT);
    assert.deepEqual(tally(events, "result"), { ok: COUNT, EACCES: COUNT });
    assert.deepEqual(tally(events, "conflict"), { undefined: 2 * COUNT });
    assert.equal(await conflicts(), before);
  });

  test("a range of the socket's own is in the event of each connect that it left without a port", async () => {
    const before = { ok: 2, EADDRNOTAVAIL: 7 };
    const { events } = await provoke(daemon.url, "own_range", 9, 9, EIGHT_PORTS);
    assert.deepEqual(tally(events, "result"), before);
    for (const { result, port_range } of events) {
      assert.deepEqual(port_range, result === "ok" ? undefined : { low: 30002, high: 30003 });
    }
    const udp = await provoke(daemon.url, "udp_own_range", 9, 9, EIGHT_PORTS);
    assert.deepEqual(tally(udp.events, "result"), { ok: 2, EAGAIN: 7 });
    for (const { result, port_range } of udp.events) {
      assert.deepEqual(port_range, result === "ok" ? undefined : { low: 30002, high: 30003 });
    }
  });

  test("a socket without a range of its own has none in its event", async () => {
    const { events } = await provoke(daemon.url, "exhausted", 12, 12, EIGHT_PORTS);
    assert.deepEqual(tally(events, "result"), { ok: 8, EADDRNOTAVAIL: 4 });
    assert.deepEqual(tally(events, "port_range"), { undefined: 12 });
  });
});

describe("connects to themselves", () => {
  const daemon = suiteDaemon(["--connect-events", "auto"]);
  const netns = new Netns();
  after(() => netns.delete());

  test("are events while nobody reads any, as other connects that went well are not", async () => {
    netns.sysctl("net.ipv4.ip_local_port_range", "30000\t30007");
    const make = (kind: string, count: number) =>
      netns.fault<Attempts>("connects.py", kind, String(count));
    const bound = make("self_connect", COUNT);
    const chosen = make("self_connect_chosen", 3);
    const ok = make("ok", 4);
    const of = (made: Attempts, count: number) =>
      eventsOf(daemon.url, count, { type: "connect", pid: String(made.pid), result: "ok" });
    const events = [...(await of(bound, COUNT)), ...(await of(chosen, 3))];
    assert.deepEqual(tally(events, "technique"), { bound_port: COUNT, plain: 3 });
    for (const { local, peer } of events) assert.deepEqual(local, peer);
    assert.deepEqual(await of(ok, 0), []);
  });
});
