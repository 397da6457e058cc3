import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { suiteDaemon } from "../support/commands.ts";
import { CONNECT_KINDS, checkEvents, checkHead } from "../support/connect-kinds.ts";
import { provoke, tally } from "../support/connects.ts";

const COUNT = 23;

describe("connect events", () => {
  const daemon = suiteDaemon();

  for (const [kind, expected] of Object.entries(CONNECT_KINDS)) {
    test(`${COUNT} attempts of kind ${kind} are ${COUNT} events`, async () => {
      const { made, events } = await provoke(daemon.url, kind, COUNT, COUNT);
      checkEvents(events, made, expected, COUNT);
    });
  }

  // An even number: of an odd one __inet_hash_connect() leaves a port out, as its offset falls.
  const SIX_PORTS = { "net.ipv4.ip_local_port_range": "30000\t30005" };

  test("12 TCP connects over 6 ports are 6 ok and 6 EADDRNOTAVAIL", async () => {
    const { made, events } = await provoke(daemon.url, "exhausted", 12, 12, SIX_PORTS);
    assert.deepEqual(tally(events, "result"), { ok: 6, EADDRNOTAVAIL: 6 });
    for (const event of events.slice(6)) {
      checkHead(event, made);
      assert.equal(event.local, undefined);
      assert.equal((event.peer as { address: string }).address, "127.0.0.1");
      assert.equal(event.technique, "plain");
    }
  });

  test("12 UDP connects over 6 ports are 6 ok and 6 EAGAIN", async () => {
    const { events } = await provoke(daemon.url, "udp_exhausted", 12, 12, SIX_PORTS);
    assert.deepEqual(tally(events, "result"), { ok: 6, EAGAIN: 6 });
  });

  test("a fixed port whose 4-tuple is taken is EADDRNOTAVAIL with its technique", async () => {
    const { events } = await provoke(daemon.url, "bound_port_taken", 7, 14);
    assert.deepEqual(tally(events, "result"), { ok: 7, EADDRNOTAVAIL: 7 });
    assert.deepEqual(tally(events, "technique"), { reuseaddr: 14 });
    for (const event of events) assert.ok((event.local as { port: number }).port >= 27000);
  });

  test("a connect that times out tells its SYN retransmits", async () => {
    const once = { "net.ipv4.tcp_syn_retries": "1" };
    const { made, events } = await provoke(daemon.url, "timeout", 5, 6, once);
    assert.deepEqual(tally(events, "result"), { ok: 1, ETIMEDOUT: 5 });
    const sum = events.reduce((total, event) => total + (event.syn_retransmits as number), 0);
    assert.equal(sum, made.syn_retransmits);
    for (const event of events.filter(({ result }) => result === "ETIMEDOUT")) {
      assert.ok((event.syn_retransmits as number) >= 1);
      assert.ok((event.duration_ns as number) > 2e9);
      assert.ok((event.local as { port: number }).port > 0);
    }
  });

  test("a connect that is closed before its answer is ECANCELED", async () => {
    const { events } = await provoke(daemon.url, "canceled", 7, 8);
    assert.deepEqual(tally(events, "result"), { ok: 1, ECANCELED: 7 });
  });

  for (const kind of ["udp_pair", "udp_pair_wildcard"]) {
    test(`${kind}: the second of two UDP sockets on one 4-tuple names the first`, async () => {
      const { made, events } = await provoke(daemon.url, kind, 9, 18);
      assert.equal(events.length, 18);
      events.forEach((event, index) => {
        const older = events[index - 1];
        if (index % 2 === 0) {
          assert.equal(event.conflict, undefined);
        } else {
          const { cgroup, ...conflict } = event.conflict as { cgroup?: object };
          const { id: _, ...named } = event.cgroup as { id: string };
          // Only while that process is there.
          if (cgroup !== undefined) assert.deepEqual(cgroup, named);
          assert.deepEqual(conflict, {
            socket_cookie: older?.socket_cookie,
            local: older?.local,
            process: { pid: made.pid, comm: "python3", uid: 0 },
          });
        }
      });
    });
  }
});
