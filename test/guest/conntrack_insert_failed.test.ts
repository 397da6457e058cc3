import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { release } from "node:os";
import { after, before, describe, test } from "node:test";
import { type DaemonProcess, startDaemonProcess, stopDaemon } from "../support/commands.ts";
import {
  type Conntracked,
  type Fault,
  isSame,
  LOSERS,
  makeFaults,
  portOf,
  SNAT_PORTS,
  summary,
  WINNERS,
} from "../support/conntrack-faults.ts";
import { conservation } from "../support/conservation.ts";
import { eventsOf } from "../support/feed.ts";
import { loadModuleLate } from "../support/late-module.ts";
import { isOlder, sinceKernel } from "../vm/requires.ts";

const PROBE = "conntrack_insert_failed";

const CHAINS_SINCE = "5.15";
const hasChains = !isOlder(release(), CHAINS_SINCE);
/** From 5.19 on nothing condemns an entry that is not confirmed yet (8a75a2c17410). */
const canDie = isOlder(release(), "5.19");
const hasTrampolines = !isOlder(release(), "6.1");

const SNAT = ["snat_udp", "snat_udp6", "snat_tcp", "snat_icmp"];
const NAMES = [
  ...SNAT,
  "firewall",
  "merged",
  "kept_beside",
  "retries",
  ...(canDie ? ["dying"] : []),
  ...(hasChains ? ["chain_too_long"] : []),
  "table_full",
  "containers",
  "twins",
  "zones",
];

/** The daemon's own choice comes first, and finds no nf_conntrack in the kernel yet. */
const BACKENDS = hasTrampolines ? ["fentry", "kprobe", "drop_tracepoint"] : ["kprobe"];

/** The same faults, seen at once by a daemon for each backend. */
describe(PROBE, () => {
  const daemons = new Map<string, DaemonProcess>();
  let faults: Map<string, Fault>;

  before(async () => {
    for (const backend of BACKENDS) {
      const isOwnChoice = daemons.size === 0;
      const daemon = await startDaemonProcess(isOwnChoice ? [] : ["--backend", backend]);
      daemons.set(backend, daemon);
      if (isOwnChoice) await loadModuleLate(daemon.url, PROBE, backend);
    }
    faults = makeFaults(NAMES);
  });
  after(async () => {
    for (const daemon of daemons.values()) await stopDaemon(daemon);
  });

  for (const backend of BACKENDS) {
    describe(`by ${backend}`, () =>
      checkBackend(
        backend,
        () => daemons.get(backend) as DaemonProcess,
        () => faults,
      ));
  }
});

function checkBackend(
  backend: string,
  daemon: () => DaemonProcess,
  faults: () => ReadonlyMap<string, Fault>,
): void {
  const infers = backend === "drop_tracepoint";
  let events: readonly Conntracked[];
  let retries: readonly Conntracked[];

  before(async () => {
    const { url } = daemon();
    const expected = [...faults().values()].reduce((sum, fault) => sum + reported(fault), 0);
    events = (await eventsOf(url, expected, { type: PROBE })) as unknown as Conntracked[];
    assert.equal(events.length, expected, JSON.stringify(summary(events)));
    retries = (await eventsOf(url, 0, { type: "flow_retry" })) as unknown as Conntracked[];
  });

  /** How many events a fault is, by what the kernel counted. */
  function reported({ fault, moved }: Fault): number {
    const { insert_failed = 0, clash_resolve = 0, drop = 0 } = moved;
    if (fault === "table_full") return infers ? 0 : drop;
    return insert_failed + (infers ? 0 : clash_resolve);
  }

  function of(name: string): { fault: Fault; mine: Conntracked[] } {
    const fault = faults().get(name) as Fault;
    const mine = events.filter((event) => event.original.dst.port === portOf(name, event));
    return { fault, mine };
  }

  function checkFates(mine: readonly Conntracked[], nat: string, verdict: string, cause: string) {
    for (const event of mine) {
      assert.equal(event.backend, backend);
      assert.deepEqual(
        { nat: event.nat, verdict: event.verdict, cause: event.cause, inferred: event.inferred },
        { nat, verdict, cause, inferred: infers ? ["cause"] : undefined },
      );
      assert.equal(event.zone, 0);
      assert.equal((event.netns as { inum: number }).inum, statSync("/proc/self/ns/net").ino);
    }
  }

  for (const name of SNAT) {
    test(`${name}: flows onto too few SNAT ports are 2 drops by a clash`, (t) => {
      const { fault, mine } = of(name);
      t.diagnostic(JSON.stringify(fault));
      assert.equal(fault.moved.insert_failed, 2);
      assert.equal(mine.length, 2);
      checkFates(mine, "snat", "dropped", "clash");
      mine.forEach((event, index) => {
        assert.equal(event.original.src.port, LOSERS[name]?.[index]);
        assert.ok(SNAT_PORTS[name]?.includes(event.reply.dst.port), JSON.stringify(event.reply));
        const isRetransmit = name === "snat_tcp" && index === 1;
        checkProcess(event, fault.pid, isRetransmit);
        if (!infers) checkWinner(event, fault.pid, name);
      });
    });
  }

  function checkProcess(event: Conntracked, pid: number, isRetransmit: boolean): void {
    const attribution = isRetransmit ? (infers ? "socket" : "flow_owner") : "current";
    assert.equal(event.attribution, attribution);
    const known = attribution === "socket" ? { uid: 0 } : { pid, comm: "python3", uid: 0 };
    assert.deepEqual(event.process, known);
  }

  function checkWinner(
    { winner, original, reply, protocol }: Conntracked,
    pid: number,
    of: string,
  ) {
    assert.deepEqual(winner?.reply, reply);
    assert.deepEqual(winner.original.dst, original.dst);
    assert.notEqual(winner.original.src.port, original.src.port);
    assert.ok(WINNERS[of]?.includes(winner.original.src.port), JSON.stringify(winner));
    // Raw sockets are in no map of flows: who pings is known while the packet is being sent only.
    if (protocol === "icmp") assert.equal(winner.owner, undefined);
    else assert.equal(winner.owner?.process.pid, pid);
  }

  test("the connect that lost says that it sent its SYN twice", async () => {
    const query = { type: "connect", pid: String(of("snat_tcp").fault.pid), port: "5354" };
    const connects = await eventsOf(daemon().url, 5, query);
    const attempts = connects.filter(({ protocol }) => protocol === "tcp");
    assert.deepEqual(
      attempts.map(({ result, syn_retransmits }) => ({ result, syn_retransmits })),
      [
        ...Array.from({ length: 4 }, () => ({ result: "ok", syn_retransmits: 0 })),
        { result: "ECANCELED", syn_retransmits: 1 },
      ],
    );
  });

  test("each refusal of a flow tells how many there have been", () => {
    const flows = new Map<string, number>();
    for (const { netns, zone, original, protocol, verdict, refusals } of events) {
      const flow = JSON.stringify([netns, zone, protocol, original]);
      const count = verdict === "dropped" && !infers ? (flows.get(flow) ?? 0) + 1 : undefined;
      assert.equal(refusals, count, flow);
      if (count !== undefined) flows.set(flow, count);
    }
  });

  test("retries: 7 refused flows that are accepted later tell their delay once", (t) => {
    const { fault, mine } = of("retries");
    t.diagnostic(JSON.stringify(retries));
    const refused = Array.from({ length: 8 }, () => "EPERM");
    assert.deepEqual(fault.results, [...refused, ...Array.from({ length: 13 }, () => "ok")]);
    const ports = retries.map(({ original }) => original.src.port);
    assert.deepEqual(ports, infers ? [] : [6601, 6602, 6603, 6604, 6605, 6606, 6702]);
    for (const retry of retries) {
      const refusals = mine.filter(({ original }) => isSame(original, retry.original));
      assert.equal(retry.refusals, refusals.length);
      assert.equal(retry.result, "accepted");
      assert.deepEqual(retry.process, { pid: fault.pid, comm: "python3", uid: 0 });
      const since = Date.parse(retry.time as string) - Date.parse(refusals[0]?.time as string);
      assert.ok(Math.abs((retry.delay_ns as number) / 1e6 - since) < 50, JSON.stringify(retry));
    }
    if (infers) return;
    const connect = retries.at(-1) as Conntracked;
    assert.equal(connect.attribution, "flow_owner");
    assert.ok((connect.delay_ns as number) > 0.9e9);
  });

  test("what a firewall drops is no event", () => {
    const { fault, mine } = of("firewall");
    assert.deepEqual(fault.results, ["EPERM", "EPERM"]);
    assert.deepEqual(mine, []);
  });

  for (const name of ["merged", "kept_beside"]) {
    test(`${name}: a clash that the kernel resolves is not a drop`, (t) => {
      const { fault, mine } = of(name);
      t.diagnostic(JSON.stringify(fault.moved));
      assert.ok((fault.moved.clash_resolve ?? 0) >= 1);
      assert.ok(fault.results.every((result) => result === "ok"));
      assert.equal(mine.length, infers ? 0 : fault.moved.clash_resolve);
      checkFates(mine, name === "merged" ? "none" : "dnat", "resolved", "clash");
      for (const event of mine) {
        assert.deepEqual(event.winner?.original, event.original);
        const isSame = event.winner?.reply.src.port === event.reply.src.port;
        assert.equal(isSame, name === "merged");
        assert.equal(event.owner?.process.pid, fault.pid);
      }
    });
  }

  if (canDie) {
    test("dying: entries that are condemned before they are in the table are drops", (t) => {
      const { fault, mine } = of("dying");
      t.diagnostic(JSON.stringify(fault));
      assert.ok((fault.moved.insert_failed ?? 0) >= 1);
      assert.equal(fault.results.length, fault.moved.insert_failed);
      assert.equal(mine.length, fault.moved.insert_failed);
      checkFates(mine, "none", "dropped", "dying");
      for (const event of mine) {
        assert.equal(event.winner, undefined);
        checkProcess(event, fault.pid, false);
      }
    });
  }

  test("chain_too_long: 40 flows that do not fit are 40 drops", (t) => {
    if (!sinceKernel(t, CHAINS_SINCE, "chains have no limit")) return;
    const { fault, mine } = of("chain_too_long");
    t.diagnostic(JSON.stringify(fault.moved));
    assert.equal(fault.moved.chaintoolong, 40);
    assert.equal(mine.length, 40);
    checkFates(mine, "none", "dropped", infers ? "other" : "chain_too_long");
    for (const event of mine) {
      assert.equal(event.winner, undefined);
      checkProcess(event, fault.pid, false);
    }
  });

  test("table_full: 7 of 12 flows are 7 drops", (t) => {
    const { fault, mine } = of("table_full");
    t.diagnostic(JSON.stringify(fault.moved));
    const refused = fault.results.flatMap((result, i) => (result === "EPERM" ? [7500 + i] : []));
    assert.equal(refused.length, fault.moved.drop);
    assert.ok(refused.length >= 6, "early_drop may make room once");
    const ports = mine.map(({ original }) => original.dst.port);
    assert.deepEqual(ports, infers ? [] : refused);
    checkFates(mine, "none", "dropped", "table_full");
    for (const event of mine) {
      assert.equal(event.attribution, "flow_owner");
      assert.deepEqual(event.process, { pid: fault.pid, comm: "python3", uid: 0 });
    }
  });

  test("containers: a clash on the host names both containers' processes", (t) => {
    const { fault, mine } = of("containers");
    t.diagnostic(JSON.stringify(fault));
    const [first = 0, second = 0] = fault.senders ?? [];
    assert.equal(mine.length, 1);
    checkFates(mine, "snat", "dropped", "clash");
    const [event] = mine as [Conntracked];
    assert.equal(event.original.src.address, "10.77.2.2");
    if (infers) {
      assert.equal(event.attribution, "none");
      return;
    }
    assert.equal(event.attribution, "flow_owner");
    assert.deepEqual(event.process, { pid: second, comm: "python3", uid: 0 });
    assert.equal(event.owner?.process.pid, second);
    assert.equal(event.owner?.netns.inum, fault.inums?.[1]);
    assert.equal(event.winner?.original.src.address, "10.77.1.2");
    assert.equal(event.winner?.owner?.process.pid, first);
    assert.equal(event.winner?.owner?.netns.inum, fault.inums?.[0]);
  });

  test("twins: of two namespaces with the same tuples, each flow has its own sender", (t) => {
    const { fault, mine } = of("twins");
    t.diagnostic(JSON.stringify(fault));
    assert.deepEqual(fault.results, ["ok", "ok", "EPERM", "EPERM"]);
    assert.equal(mine.length, 2);
    mine.forEach((event, index) => {
      const inum = fault.inums?.[index];
      assert.equal(event.original.src.port, 6002);
      assert.equal((event.netns as { inum: number }).inum, inum);
      assert.equal((event.process as { pid: number }).pid, fault.senders?.[index]);
      if (infers) return;
      assert.equal(event.refusals, 1);
      for (const owner of [event.owner, event.winner?.owner]) {
        assert.equal(owner?.process.pid, fault.senders?.[index]);
        assert.equal(owner?.netns.inum, inum);
      }
    });
  });

  test("zones: of two zones with the same tuples, nobody is taken for the other's sender", (t) => {
    const { fault, mine } = of("zones");
    t.diagnostic(JSON.stringify([fault, mine]));
    const flows = mine.map(({ zone, original: { src, dst } }) => [dst.port, src.port, zone]);
    assert.deepEqual(flows.sort(), [
      [5359, 6002, 1],
      [5359, 6002, 2],
      [5360, 6001, 2],
      [5360, 6002, 1],
      [5360, 6002, 2],
    ]);
    for (const event of mine) {
      // When the first namespace sends from 6002, the second has not done so yet.
      const isKnown = event.zone === 1 && !infers;
      assert.equal(event.attribution, isKnown ? "flow_owner" : "none");
      assert.equal(event.owner?.process.pid, isKnown ? fault.senders?.[0] : undefined);
      assert.equal(event.winner?.owner, undefined);
      if (!infers) assert.equal(event.refusals, 1);
    }
  });

  test("nothing is lost and nothing invented", async () => {
    const all = events.length + retries.length;
    const { attempted, delivered } = await conservation(daemon().url, PROBE);
    assert.deepEqual([attempted, delivered], [all, all]);
  });
}
