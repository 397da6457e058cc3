import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { closeFd } from "libbpf-ts";
import { findNamespaces, inNamespace, type NetworkNamespace } from "../../src/kernel/namespaces.ts";
import { listSockets, NOT_LISTEN, openSockDiag } from "../../src/kernel/sock-diag.ts";
import { PortSampler } from "../../src/ports/sampler.ts";
import { type PortSnapshot, takePortSnapshot } from "../../src/ports/snapshot.ts";
import { FAULTS, Netns } from "../support/netns.ts";
import { find, holdPorts } from "../support/ports.ts";
import { until } from "../support/until.ts";

/** One datagram of a list (32 KiB) has fewer. */
const MAX_SOCKETS_PER_TURN = 512;
const MAX_ENTERED_PER_TURN = 16;

/** Together less than a TIME_WAIT lasts (TCP_TIMEWAIT_LEN, 60 s): none ends between two snapshots. */
const CHURN_STEPS = 100;
/** A netlink socket that was closed is counted up to the end of an RCU grace period. */
const SETTLE_MS = 100;
/** On a machine where one takes longer than that. */
const MAX_SETTLE_MS = 6_400;

const always = { intervalMs: 0, patienceMs: 60_000, maxCpuRatio: Number.POSITIVE_INFINITY };

function told({ tcp, udp, destinations }: PortSnapshot) {
  return { tcp, udp, destinations: destinations.map((one) => JSON.stringify(one)).sort() };
}

/** Counts turns of the event loop while `act` goes on. */
async function turnsOf(act: (turn: () => number) => Promise<void>): Promise<number> {
  let turns = 0;
  let isGoingOn = true;
  const next = () => {
    turns++;
    if (isGoingOn) setImmediate(next);
  };
  setImmediate(next);
  await act(() => turns);
  isGoingOn = false;
  return turns;
}

/**
 * The first snapshot that takes the last one's count. The netlink socket of each may still be counted
 * in the next, as one that may be bound, so that looking again at once would never end.
 */
async function whenSettled(found: NetworkNamespace, first: PortSnapshot): Promise<PortSnapshot> {
  let last = first;
  for (let settleMs = SETTLE_MS; settleMs <= MAX_SETTLE_MS; settleMs *= 2) {
    await sleep(settleMs);
    const next = await takePortSnapshot(found, last);
    if (next.counted === last.counted) return next;
    last = next;
  }
  throw new Error(`still counted anew: ${last.counted?.basis}`);
}

describe("a snapshot that knows the last one", () => {
  let netns: Netns;
  beforeEach(() => {
    netns = new Netns();
    netns.sysctl("net.ipv4.ip_local_port_range", "20000 20999");
  });
  afterEach(() => netns.delete());

  test("counts TCP anew only where something has changed, and then exactly", async () => {
    const held = await holdPorts(netns, { tcp: 30, listener: 2, udp_connected: 3 });
    const found = await find(netns);
    const first = await takePortSnapshot(found);
    assert.deepEqual([first.tcp.sockets, first.udp.in_use], [36, 3]);
    const same = await whenSettled(found, first);
    assert.deepEqual(same.tcp, first.tcp);
    assert.deepEqual(same.destinations, first.destinations);

    const more = await holdPorts(netns, { tcp6: 4, udp_bound: 1 });
    const grown = await takePortSnapshot(found, same);
    assert.notEqual(grown.counted, same.counted);
    assert.deepEqual(told(grown), told(await takePortSnapshot(found)));
    // The kernel may choose a port again that has a connection to elsewhere.
    assert.equal(grown.tcp.sockets, first.tcp.sockets + 4);
    assert.equal(grown.udp.in_use, 4);
    await more.end();
    await held.end();
  });

  test("sees sockets that are bound only, and those that take their place", async () => {
    const held = await holdPorts(netns, { bound_tcp: 3 });
    const found = await find(netns);
    const first = await takePortSnapshot(found);
    assert.equal(first.tcp.bound_without_peer, 3);
    const more = await holdPorts(netns, { listener: 2 });
    const second = await takePortSnapshot(found, first);
    assert.equal(second.tcp.bound_without_peer, 3 + 2);
    await held.end();
    const third = await takePortSnapshot(found, second);
    assert.equal(third.tcp.bound_without_peer, 2);
    await more.end();
  });

  test("is what one without it is, whatever sockets do meanwhile", async (t) => {
    const seed = Math.trunc(Math.random() * 1e6);
    const args = ["netns", "exec", netns.name, "python3", `${FAULTS}port_churn.py`, String(seed)];
    const child = spawn("ip", args, { stdio: ["pipe", "pipe", "inherit"] });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    t.after(async () => {
      child.stdin.end();
      if (child.exitCode === null) await once(child, "exit");
    });
    await lines.next();
    const found = await find(netns);
    let known = await takePortSnapshot(found);
    let reused = 0;
    for (let step = 0; step < CHURN_STEPS; step++) {
      child.stdin.write("\n");
      const done = await lines.next();
      await sleep(SETTLE_MS);
      const snapshot = await takePortSnapshot(found, known);
      if (snapshot.counted !== undefined && snapshot.counted === known.counted) reused++;
      const fresh = await takePortSnapshot(found);
      assert.deepEqual(told(snapshot), told(fresh), `seed ${seed}, step ${step}: ${done.value}`);
      known = snapshot;
    }
    t.diagnostic(`seed ${seed}: TCP was not counted anew in ${reused} of ${CHURN_STEPS} steps`);
  });

  test("of another namespace that has the same inode number is none", async () => {
    const found = await find(netns);
    const held = await holdPorts(netns, { tcp: 5 });
    const first = await takePortSnapshot(found);
    const forged = { ...first, netns: { ...first.netns, cookie: 1n << 60n } };
    const second = await takePortSnapshot(found, forged);
    assert.notEqual(second.counted, first.counted);
    assert.deepEqual(second.tcp, first.tcp);
    await held.end();
  });
});

describe("scans", () => {
  test("tell of a change at the next one, each in its namespace", async () => {
    const [one, other] = [new Netns(), new Netns()];
    for (const netns of [one, other]) netns.sysctl("net.ipv4.ip_local_port_range", "20000 20999");
    const sampler = new PortSampler({ onError: assert.fail, ...always });
    const inUse = async () => {
      const scan = await sampler.latest();
      return [one, other].map(({ inum }) => {
        const found = scan?.snapshots.find(({ netns }) => netns.inum === inum);
        return [found?.tcp.in_use, found?.udp.in_use];
      });
    };
    assert.deepEqual(await inUse(), [
      [0, 0],
      [0, 0],
    ]);
    const held = await holdPorts(one, { tcp: 12, udp_bound: 2 });
    for (let scans = 0; scans < 15; scans++) {
      assert.deepEqual(await inUse(), [
        [12, 2],
        [0, 0],
      ]);
    }
    const more = await holdPorts(other, { tcp: 7 });
    assert.deepEqual(await inUse(), [
      [12, 2],
      [7, 0],
    ]);
    await more.end();
    await held.end();
    // Whoever ends first closes for good; the kernel keeps the ports of those in TIME_WAIT.
    const ended = await inUse();
    assert.equal(ended[0]?.[1], 0);
    for (const netns of [one, other]) {
      const fresh = await takePortSnapshot(await find(netns));
      const scan = await sampler.latest();
      const known = scan?.snapshots.find(({ netns: { inum } }) => inum === netns.inum);
      assert.deepEqual([known?.tcp, known?.udp], [fresh.tcp, fresh.udp]);
      netns.delete();
    }
    await sampler.stop();
  });

  test("keep no namespace alive: it vanishes, and its end of a veth pair with it", async () => {
    const [gone, stays] = [new Netns(), new Netns()];
    const link = ["link", "add", "tw0", "netns", gone.name, "type", "veth"];
    execFileSync("ip", [...link, "peer", "name", "tw1", "netns", stays.name]);
    const held = await holdPorts(gone, { tcp: 20, udp_connected: 2 });
    const sampler = new PortSampler({ onError: assert.fail, ...always });
    const knows = async () =>
      (await sampler.latest())?.snapshots.some(({ netns }) => netns.inum === gone.inum) === true;
    assert.ok(await knows());
    assert.ok(await knows());
    const hasPeer = () => stays.exec("ls", "/sys/class/net").split("\n").includes("tw1");
    assert.ok(hasPeer());
    await held.end();
    const scanning = sampler.latest();
    gone.delete();
    await until(() => !hasPeer(), "the pair is gone", 10_000);
    await scanning;
    assert.equal(await knows(), false);
    await sampler.stop();
    stays.delete();
  });

  test("enter few namespaces in a turn of the event loop", async () => {
    const names = Array.from({ length: 64 }, (_, index) => `tw-turns-${process.pid}-${index}`);
    const batch = (verb: string) => names.map((name) => `netns ${verb} ${name}\n`).join("");
    execFileSync("ip", ["-batch", "-"], { input: batch("add") });
    try {
      const sampler = new PortSampler({ onError: assert.fail, ...always });
      const turns = await turnsOf(async () => {
        const scan = await sampler.latest();
        assert.ok((scan?.snapshots.length ?? 0) >= names.length);
      });
      assert.ok(turns >= names.length, `${turns} turns`);
      const ofFinding = await turnsOf(async () => {
        assert.ok((await findNamespaces()).namespaces.length >= names.length);
      });
      assert.ok(ofFinding >= names.length / MAX_ENTERED_PER_TURN, `${ofFinding} turns`);
    } finally {
      execFileSync("ip", ["-batch", "-"], { input: batch("delete") });
    }
  });

  test("read few sockets in a turn of the event loop", async () => {
    const many = new Netns();
    many.sysctl("net.ipv4.ip_local_port_range", "20000 60000");
    const held = await holdPorts(many, { tcp: 9000 });
    const diag = inNamespace(await find(many), openSockDiag);
    const perTurn = new Map<number, number>();
    await turnsOf(async (turn) => {
      await listSockets(diag, { protocol: "tcp", states: NOT_LISTEN }, () => {
        perTurn.set(turn(), (perTurn.get(turn()) ?? 0) + 1);
      });
    });
    closeFd(diag);
    const counts = [...perTurn.values()];
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      18_000,
    );
    assert.ok(Math.max(...counts) <= MAX_SOCKETS_PER_TURN, `${Math.max(...counts)} sockets`);
    await held.end();
    many.delete();
  });
});
