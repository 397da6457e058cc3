import assert from "node:assert/strict";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { after, before, describe, test } from "node:test";
import { NO_LEDGER } from "../../src/ports/ledger.ts";
import { queryPorts } from "../../src/ports/query.ts";
import { findPortHolders } from "../../src/ports/report.ts";
import { PortSampler } from "../../src/ports/sampler.ts";
import { type PortSnapshot, takePortSnapshot } from "../../src/ports/snapshot.ts";
import { Netns } from "../support/netns.ts";
import { find, type HeldPorts, holdPorts } from "../support/ports.ts";

const RANGE = { low: 20_000, high: 20_999 };
const RESERVED = { low: 20_010, high: 20_019 };

const STEPS = {
  shared: 5,
  listener: 2,
  bound_tcp: 3,
  tcp: 30,
  mapped: 2,
  tcp6: 4,
  time_wait: 6,
  orphaned: 2,
  udp_bound: 7,
  udp_reserved: 2,
  udp_connected: 3,
};

/** Each way takes one, but "shared" four, and a listener three: its own and two of a connection. */
const TCP_SOCKETS = 5 * 4 + 2 * 3 + 3 + 30 + 2 + 4 + 6 + 2;

describe("local ports", () => {
  const netns = new Netns();
  const other = new Netns();
  let held: HeldPorts;
  let snapshot: PortSnapshot;

  before(async () => {
    netns.sysctl("net.ipv4.ip_local_port_range", `${RANGE.low} ${RANGE.high}`);
    netns.sysctl("net.ipv4.ip_local_reserved_ports", `${RESERVED.low}-${RESERVED.high}`);
    held = await holdPorts(netns, STEPS);
    snapshot = await takePortSnapshot(await find(netns));
  });
  after(async () => {
    await held.end();
    netns.delete();
    other.delete();
  });

  const distinct = (...held: (readonly number[])[]) => new Set(held.flat()).size;
  const towards = (address: string, port: number) =>
    snapshot.destinations.find(({ peer }) => peer.address === address && peer.port === port);

  test("the range is what a connect may take", () => {
    const { low, high, available } = snapshot.range;
    assert.deepEqual({ low, high, available }, { ...RANGE, available: 1000 - 10 });
  });

  test("each port counts once, however many sockets are on it, and whatever their state", () => {
    const { tcp, time_wait, orphaned } = held.ports;
    assert.deepEqual(snapshot.tcp, {
      in_use: distinct(tcp, time_wait, orphaned),
      bound_without_peer: 2 + 3,
      sockets: TCP_SOCKETS,
    });
    assert.deepEqual(snapshot.udp, { in_use: 7 + 3, bound_without_peer: 7, sockets: 7 + 3 });
  });

  for (const protocol of ["tcp", "udp"] as const) {
    test(`ss sees the same ${protocol} sockets`, () => {
      const text = netns.exec("ss", "-Hna", `--${protocol}`);
      const ports = text
        .split("\n")
        .map((line) => Number(/\S:(\d+)\s/.exec(line)?.[1]))
        .filter((port) => port >= RANGE.low && port <= RANGE.high)
        .filter((port) => port < RESERVED.low || port > RESERVED.high);
      // Sockets that are bound only are beyond the ss of Debian 12.
      const boundOnly = protocol === "tcp" ? STEPS.bound_tcp : 0;
      assert.equal(ports.length, snapshot[protocol].sockets - boundOnly);
      assert.equal(new Set(ports).size, snapshot[protocol].in_use - boundOnly);
    });
  }

  test("destinations tell their ports and the state of the sockets, mapped ones among IPv4", () => {
    assert.deepEqual(snapshot.destinations[0], {
      protocol: "tcp",
      peer: { address: "127.0.0.1", port: 4500 },
      ports: 30 + 5 + 2,
      states: { established: 37 },
    });
    assert.deepEqual(towards("::1", 4510)?.states, { established: 4 });
    assert.deepEqual(towards("127.0.0.1", 4504)?.states, { time_wait: 6 });
    assert.deepEqual(towards("127.0.0.1", 4505)?.states, { fin_wait2: 2 });
    assert.equal(towards("127.0.0.1", 4503)?.ports, 5);
    assert.deepEqual(towards("127.0.0.1", 4600), {
      protocol: "udp",
      peer: { address: "127.0.0.1", port: 4600 },
      ports: 3,
      states: { established: 3 },
    });
  });

  test("what a listener accepted is no destination", () => {
    const told = snapshot.destinations.map(({ peer }) => peer.port);
    const expected = [20700, 20701, 4500, 4501, 4502, 4503, 4504, 4505, 4510, 4600];
    assert.deepEqual(
      told.sort((one, next) => one - next),
      expected.sort((one, next) => one - next),
    );
  });

  test("who holds the ports is told, and why nobody does", async () => {
    const holders = await findPortHolders(snapshot, {}, NO_LEDGER);
    assert.deepEqual(
      holders.map(({ cgroup: _, ...holder }) => holder),
      [
        {
          process: { pid: held.pid, comm: "python3" },
          ports: distinct(held.ports.tcp) + 7 + 3,
        },
        { without: "time_wait", ports: 6 },
        { without: "orphaned", ports: 2 },
      ],
    );
    assert.match(holders[0]?.cgroup?.path ?? "", /^\//);
  });

  test("who holds those of one destination, and of one protocol", async () => {
    const peer = { address: "127.0.0.1", port: 4500 };
    const { inum, cookie } = snapshot.netns;
    const netns = { inum, cookie: String(cookie) };
    const query = { key: "", netns, pid: held.pid, protocol: "tcp", peer } as const;
    const found = await queryPorts(query, NO_LEDGER);
    const [mine] = found?.holders ?? [];
    assert.deepEqual([mine?.process?.pid, found?.taken.towards], [held.pid, 37]);
    const [udp] = await findPortHolders(snapshot, { protocol: "udp" }, NO_LEDGER);
    assert.equal(udp?.ports, 10);
  });

  test("the same ports in another namespace are its own", async () => {
    other.sysctl("net.ipv4.ip_local_port_range", "20000 20099");
    const held = await holdPorts(other, { tcp: 8, udp_bound: 1 });
    const theirs = await takePortSnapshot(await find(other));
    assert.equal(theirs.tcp.in_use, 8);
    assert.equal(theirs.udp.in_use, 0, "port 20800 is not of this range");
    assert.equal(theirs.range.available, 100);
    assert.notEqual(theirs.netns.cookie, snapshot.netns.cookie);
    const again = await takePortSnapshot(snapshot.netns);
    assert.deepEqual([again.tcp, again.udp], [snapshot.tcp, snapshot.udp]);
    await held.end();
  });

  test("20,000 sockets are counted while other work goes on", async (t) => {
    const many = new Netns();
    many.sysctl("net.ipv4.ip_local_port_range", "20000 60000");
    const connected = await holdPorts(many, { tcp: 9000 });
    const datagrams = await holdPorts(many, { udp_connected: 2000 });
    const delay = monitorEventLoopDelay({ resolution: 1 });
    const namespace = await find(many);
    delay.enable();
    const startedMs = performance.now();
    const { tcp, udp, range, destinations } = await takePortSnapshot(namespace);
    const tookMs = performance.now() - startedMs;
    const holders = await findPortHolders({ netns: namespace, range }, {}, NO_LEDGER);
    delay.disable();
    t.diagnostic(
      `counted in ${tookMs.toFixed(0)} ms, holders in ` +
        `${(performance.now() - startedMs - tookMs).toFixed(0)} ms; ` +
        `the loop waited ${(delay.max / 1e6).toFixed(1)} ms at most`,
    );
    assert.deepEqual([tcp.in_use, udp.in_use], [9000, 2000]);
    assert.deepEqual(
      destinations.map(({ ports }) => ports),
      [9000, 2000],
    );
    assert.deepEqual(
      holders.map(({ processes, ports }) => [processes, ports]),
      [[2, 11_000]],
    );
    const taker = new PortSampler({ onError: assert.fail, patienceMs: 1 });
    assert.equal(await taker.latest(), undefined, "who asks does not wait that long");
    await taker.stop();
    await connected.end();
    await datagrams.end();
    many.delete();
  });
});
