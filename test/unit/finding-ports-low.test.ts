import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PortWatch } from "../../src/findings/port-watch.ts";
import type { PortHolder } from "../../src/ports/ports.schema.ts";
import type { PortQueryResult, TakenPorts } from "../../src/ports/query.ts";
import type { PortScan } from "../../src/ports/sampler.ts";
import { PortTrends } from "../../src/ports/trend.ts";
import { commands, connectFields, endpoint, PROCESS, Scene } from "../support/findings.ts";
import { type ScanOptions, scanAt, towards } from "../support/port-scans.ts";

const PEER = "10.0.0.7:443";
const NEVER = { twReuse: 0, timestamps: 1 };
const NOBODY: readonly PortHolder[] = [];

/** A count of the same ports: `open` and `waiting` towards the peer alone, `locked` besides. */
function count(
  { open = 0, waiting = 0, locked = 0 }: { open?: number; waiting?: number; locked?: number },
  more: Partial<PortQueryResult> = {},
): PortQueryResult {
  const taken: TakenPorts = {
    total: open + waiting + locked,
    towards: open + waiting,
    locked,
    waiting,
    states: {
      ...(open > 0 && { established: open }),
      ...(waiting > 0 && { time_wait: waiting }),
    },
  };
  const holders = [{ process: PROCESS, ports: open }];
  const range = { low: 30_000, high: 30_099, available: 100 };
  return { range, taken, holders, lockers: NOBODY, sockets: [], settings: NEVER, ...more };
}

/** Lets the daemon's watch see these scans, 10 s apart. */
async function watch(scene: Scene, scans: readonly PortScan[]): Promise<void> {
  let latest: PortScan | undefined;
  const portWatch = new PortWatch({
    scans: { latest: async () => latest, ageMs: 0, failures: 0 },
    trends: new PortTrends(),
    take: (outlooks) => scene.engine.takePorts(outlooks),
    onError: assert.ifError,
  });
  for (const scan of scans) {
    latest = scan;
    await portWatch.look();
    await scene.settle();
    scene.wait(10_000);
  }
}

/** Scans 10 s apart, each with so many established connections. */
function established(counts: readonly number[], options: ScanOptions = {}): PortScan[] {
  return counts.map((n, index) => scanAt(10 * index, [towards(PEER, { established: n })], options));
}

const SLOW = connectFields({ port_search_ns: 1_000_000 });
const NO_PORT = connectFields({ result: "EADDRNOTAVAIL" });

describe("local_ports_low", () => {
  it("is half of the usable ports: which, how many of how many, in which states, whose", async () => {
    const found = count({ open: 44, waiting: 8, locked: 4 });
    const lockers = [{ process: { pid: 9, comm: "server", uid: 0 }, ports: 4 }];
    const holders = [...found.holders, ...lockers, { without: "time_wait", ports: 8 } as const];
    const scene = new Scene({ queryPorts: () => ({ ...found, holders, lockers }) });
    await watch(scene, established([50]));
    const { kind, severity, summary, parties, consequence, confidence, evidence } = scene.only;
    assert.deepEqual([kind, severity, confidence.level], ["local_ports_low", "warning", "high"]);
    assert.equal(
      summary,
      "The local ports for TCP to 10.0.0.7:443 are running low: 52 of the 100 ports 30000-30099 are " +
        "taken towards it (44 ESTABLISHED, 8 TIME-WAIT), 44 of them opened by crawler (pid 812); 4 " +
        "more are locked whatever the destination.",
    );
    assert.deepEqual(
      parties.map(({ role, ports }) => [role, ports]),
      [
        ["holder", 44],
        ["time_wait", 8],
      ],
    );
    assert.deepEqual([consequence, evidence], [{ ports_in_use: 56, ports_in_range: 100 }, []]);
    assert.deepEqual(scene.portQueries[0]?.peer, endpoint(PEER));
  });

  it("has remedies that fit, the least invasive first", async () => {
    const remedies = async (found: PortQueryResult) => {
      const scene = new Scene({ queryPorts: () => found });
      await watch(scene, established([60]));
      return commands(scene.only);
    };
    const open = await remedies(count({ open: 60 }));
    assert.match(open, /ss -tanp dst 10\.0\.0\.7:443.*reuse them.*ip_local_port_range=1024/s);
    assert.doesNotMatch(open, /tcp_tw_reuse/);
    assert.match(await remedies(count({ waiting: 60 })), /reuse them.*tcp_tw_reuse=1.*range=/s);
    const without = count({ waiting: 60 }, { settings: { twReuse: 0, timestamps: 0 } });
    assert.doesNotMatch(await remedies(without), /sysctl -w 'net\.ipv4\.tcp_tw_reuse/);
  });

  it("is info when at the present rate none is left within ten minutes", async () => {
    const scene = new Scene({ queryPorts: () => count({ open: 40 }) });
    await watch(scene, established([10, 20, 30]));
    assert.deepEqual(scene.kinds, [], "it may be a burst");
    await watch(scene, established([10, 20, 30, 40]));
    const { severity, summary, confidence } = scene.only;
    assert.deepEqual([severity, confidence.level], ["info", "low"]);
    assert.match(summary, /; at the present rate none is left in 60 s\.$/);
  });

  it("becomes a warning when half is taken", async () => {
    let open = 40;
    const scene = new Scene({ queryPorts: () => count({ open }) });
    await watch(scene, established([10, 20, 30, 40]));
    assert.equal(scene.only.severity, "info");
    scene.wait(30_000);
    open = 60;
    await watch(scene, established([60]));
    assert.equal(scene.only.severity, "warning");
    assert.ok(scene.only.last_seen > scene.only.first_seen);
  });

  it("is info when the search for a port took 1 ms three times within 10 s", async () => {
    const scene = new Scene({ queryPorts: () => count({ open: 46 }) });
    const seqs = [scene.take("connect", SLOW), scene.take("connect", SLOW)];
    scene.wait(10_000);
    await scene.settle();
    assert.deepEqual(scene.kinds, []);
    seqs.push(scene.take("connect", SLOW));
    await scene.settle();
    const { severity, summary, evidence } = scene.only;
    assert.deepEqual([severity, evidence], ["info", seqs]);
    assert.match(summary, /searched for a free one for 1 ms and more, 3 times within 10 s\.$/);
  });

  it("closes when it was not seen any more, and is looked at twice a minute meanwhile", async () => {
    const scene = new Scene({ queryPorts: () => count({ open: 60 }) });
    await watch(scene, established([60, 60, 60, 60, 60, 60]));
    assert.deepEqual([scene.portQueries.length, scene.only.count], [2, 2]);
    scene.wait(300_000);
    assert.equal(scene.only.close_reason, "quiet");
  });

  const clean: [string, readonly PortScan[], PortQueryResult | undefined][] = [
    ["less than half", established([49]), count({ open: 49 })],
    ["what is bound before it connects", established([60]), count({ locked: 60 })],
    ["what has changed when it is looked at", established([60]), count({ open: 20 })],
    ["anything without a closer look", established([60]), undefined],
    ["a burst that ends", established([0, 0, 20, 40, 40]), count({ open: 40 })],
    [
      "190 of 200 ports in TIME_WAIT over loopback",
      [
        scanAt(0, [towards("127.0.0.1:8080", { established: 10, time_wait: 190 })], {
          available: 200,
          tcpSettings: { twReuse: 2, timestamps: 1 },
        }),
      ],
      count({ open: 10, waiting: 90 }, { settings: { twReuse: 2, timestamps: 1 } }),
    ],
    [
      "90 of 100 ports in TIME_WAIT with tcp_tw_reuse=1",
      [0, 30, 60, 90].map((n, index) =>
        scanAt(10 * index, [towards(PEER, { time_wait: n })], {
          tcpSettings: { twReuse: 1, timestamps: 1 },
        }),
      ),
      count({ waiting: 90 }, { settings: { twReuse: 1, timestamps: 1 } }),
    ],
    [
      "TIME_WAIT that a closer look finds free",
      established([60]),
      count({ open: 5, waiting: 90 }, { settings: { twReuse: 1, timestamps: 1 } }),
    ],
    [
      "UDP",
      [scanAt(0, [towards(PEER, { established: 6 }, { protocol: "udp" })], { available: 6 })],
      count({ open: 60 }),
    ],
    [
      "a range of a few ports",
      established([6], { available: 8 }),
      count({ open: 6 }, { range: { low: 30_000, high: 30_007, available: 8 } }),
    ],
    [
      "connections from two addresses",
      [scanAt(0, [towards(PEER, { established: 80 }, { ports: 60 })])],
      count({ open: 60 }),
    ],
    ["a namespace that is gone", established([60]), { ...count({ open: 60 }), range: undefined }],
  ];
  for (const [what, scans, found] of clean) {
    it(`is not ${what}`, async () => {
      const scene = new Scene({ queryPorts: () => found });
      await watch(scene, scans);
      assert.deepEqual(scene.kinds, []);
    });
  }

  const fast: [string, object][] = [
    ["a search that is not slow", { port_search_ns: 999_999 }],
    ["a backend that does not see the search", {}],
    ["a socket with a range of its own", { port_search_ns: 2e6, port_range: { low: 1, high: 9 } }],
    ["UDP", { port_search_ns: 2e6, protocol: "udp" }],
  ];
  for (const [what, more] of fast) {
    it(`is not ${what}, however often`, async () => {
      const scene = new Scene({ queryPorts: () => count({ open: 60 }) });
      for (let i = 0; i < 9; i++) scene.take("connect", connectFields(more));
      await scene.settle();
      assert.deepEqual([scene.kinds, scene.portQueries], [[], []]);
    });
  }

  it("is not a slow search of which two were in time, or while many ports are free", async () => {
    const late = new Scene({ queryPorts: () => count({ open: 46 }) });
    for (let i = 0; i < 4; i++) {
      late.take("connect", SLOW);
      late.wait(6000);
    }
    await late.settle();
    assert.deepEqual(late.kinds, []);
    const free = new Scene({ queryPorts: () => count({ open: 44 }) });
    for (let i = 0; i < 3; i++) free.take("connect", SLOW);
    await free.settle();
    assert.deepEqual(free.kinds, []);
  });
});

describe("local_ports_low that came true", () => {
  it("is replaced by the exhaustion of the same destination, and adds nothing to it", async () => {
    const scene = new Scene({ queryPorts: () => count({ open: 100 }) });
    await watch(scene, established([60]));
    const [low] = scene.engine.findings();
    scene.take("connect", NO_PORT);
    scene.take("connect", NO_PORT);
    await scene.settle();
    const { id, kind, count: failures, consequence } = scene.only;
    assert.deepEqual([kind, failures], ["local_port_exhaustion", 2]);
    assert.equal(consequence.ports_in_use, 100);
    const told = scene.emitted.findLast((finding) => finding.id === low?.id);
    assert.deepEqual([told?.close_reason, told?.replaced_by], ["replaced", id]);
  });

  it("is replaced beyond the first few destinations, which share one finding", async () => {
    const scene = new Scene({ queryPorts: () => count({ open: 60 }) });
    await watch(scene, established([60]));
    for (let i = 1; i <= 4; i++) {
      const peer = endpoint(`10.0.1.${i}:443`);
      scene.take("connect", connectFields({ result: "EADDRNOTAVAIL", peer }));
    }
    assert.ok(scene.kinds.includes("local_ports_low"));
    scene.take("connect", NO_PORT);
    await scene.settle();
    assert.ok(!scene.kinds.includes("local_ports_low"));
  });

  it("stays where another destination, or another namespace, has none left", async () => {
    const scene = new Scene({ queryPorts: () => count({ open: 60 }) });
    await watch(scene, established([60]));
    const peer = endpoint("10.0.0.8:443");
    scene.take("connect", connectFields({ result: "EADDRNOTAVAIL", peer }));
    scene.take("connect", { ...NO_PORT, netns: { cookie: "5000", inum: 4026532400 } });
    await scene.settle();
    assert.equal(scene.kinds.filter((kind) => kind === "local_ports_low").length, 1);
  });

  it("does not open again while that is open, and for a minute after", async () => {
    const scene = new Scene({ queryPorts: () => count({ open: 60 }) });
    scene.take("connect", NO_PORT);
    await scene.settle();
    await watch(scene, established([60]));
    assert.deepEqual(scene.kinds, ["local_port_exhaustion"]);
    scene.wait(300_000);
    assert.equal(scene.only.state, "closed");
    await watch(scene, established([60]));
    assert.equal(scene.only.kind, "local_port_exhaustion");
    scene.wait(60_000);
    await watch(scene, established([60]));
    assert.deepEqual(scene.kinds, ["local_ports_low", "local_port_exhaustion"]);
  });

  it("does not open while the ports of the namespace are locked by bind()", async () => {
    let found = count({ open: 10, locked: 80 });
    const scene = new Scene({ queryPorts: () => found });
    scene.take("connect", NO_PORT);
    await scene.settle();
    assert.deepEqual(scene.kinds, ["port_locked_by_bind"]);
    found = count({ open: 60 });
    await watch(scene, established([60]));
    assert.deepEqual(scene.kinds, ["port_locked_by_bind"]);
  });
});
