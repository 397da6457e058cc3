import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { PortHolder } from "../../src/ports/ports.schema.ts";
import type { PortQueryResult } from "../../src/ports/query.ts";
import {
  commands,
  connectFields,
  endpoint,
  PROCESS,
  portAnswer,
  portBindFields,
  Scene,
  sceneOf,
} from "../support/findings.ts";

const CRAWLER = { process: { pid: 812, comm: "crawler", uid: 1000 } };
const WORKERS = { process: { pid: 9, comm: "fpm-worker", uid: 33 }, processes: 40 };

/** `inUse` ports towards the peer. */
function answer(inUse: number, holders: readonly PortHolder[] = []): PortQueryResult {
  return portAnswer({ taken: { total: inUse, towards: inUse, locked: 0, waiting: 0 }, holders });
}

function locked(ports: number, lockers: readonly PortHolder[] = []): PortQueryResult {
  const taken = { total: ports, towards: 0, locked: ports, waiting: 0 };
  return portAnswer({ taken, holders: lockers, lockers });
}

const NO_PORT = connectFields({ result: "EADDRNOTAVAIL" });
const NO_PORT_6 = connectFields({
  result: "EADDRNOTAVAIL",
  family: "ipv6",
  peer: endpoint("[2001:db8::7]:443"),
});

describe("local_port_exhaustion", () => {
  it("keeps its times when the clock is set while the ports are being counted", async () => {
    const scene = new Scene({ queryPorts: () => answer(100, [{ ...CRAWLER, ports: 100 }]) });
    scene.take("connect", NO_PORT);
    await scene.settle();
    scene.engine.shiftTimes(3_600_000);
    const { first_seen, last_seen } = scene.only;
    assert.deepEqual([first_seen, last_seen], Array(2).fill("2026-03-14T16:09:26.000000000Z"));
  });

  it("says who failed, who opened how many ports of which range, and what to do", async () => {
    const found = portAnswer({
      taken: { total: 100, towards: 100, locked: 0, waiting: 40 },
      holders: [
        { ...CRAWLER, ports: 60 },
        { ...WORKERS, without: "time_wait", ports: 40 },
      ],
    });
    const scene = await sceneOf(found, NO_PORT, NO_PORT);
    const { kind, severity, summary, parties, consequence, confidence } = scene.only;
    assert.deepEqual(
      [kind, severity, confidence.level],
      ["local_port_exhaustion", "critical", "high"],
    );
    assert.equal(
      summary,
      "crawler (pid 812) found no free local port for TCP to 10.0.0.7:443: connect() failed 2 " +
        "times with EADDRNOTAVAIL; 100 of the 100 ports 30000-30099 were taken towards it, 40 in " +
        "TIME_WAIT, 60 of them opened by crawler (pid 812).",
    );
    assert.deepEqual(
      parties.map(({ role, process, processes, ports, failures }) => [
        role,
        process?.comm,
        processes,
        ports,
        failures,
      ]),
      [
        ["failed", "crawler", undefined, undefined, 2],
        ["holder", "crawler", undefined, 60, undefined],
        ["holder", "fpm-worker", 40, 40, undefined],
      ],
    );
    assert.deepEqual(consequence, { failed_connects: 2, ports_in_use: 100, ports_in_range: 100 });
    const text = commands(scene.only);
    assert.match(
      text,
      /^ip netns exec web sysctl -w 'net\.ipv4\.ip_local_port_range=1024 65535'$/m,
    );
    assert.match(text, /^ip netns exec web ss -tanp dst 10\.0\.0\.7:443$/m);
    assert.deepEqual(scene.portQueries[0]?.peer, endpoint("10.0.0.7:443"));
  });

  it("names whoever had the ports and is gone, with as many as there are", async () => {
    const found = answer(100, [{ ...WORKERS, without: "closed", ports: 100 }]);
    const { summary } = (await sceneOf(found, NO_PORT)).only;
    assert.match(summary, /100 of them opened by fpm-worker \(40 processes\), and closed since\.$/);
    const gone = { ...found, range: undefined, settings: undefined };
    const { summary: without } = (await sceneOf(gone, NO_PORT)).only;
    assert.match(without, /; 100 ports were taken towards it, 100 of them opened by fpm-worker/);
  });

  it("blames the program with most failures, not the last", async () => {
    const cron = { process: { pid: 70, comm: "cron", uid: 0 } };
    const scene = await sceneOf(answer(100), NO_PORT, NO_PORT, { ...(NO_PORT as object), ...cron });
    assert.match(scene.only.summary, /^crawler \(pid 812\) and others found .* failed 3 times/);
  });

  it("counts the ports again only after ten seconds", async () => {
    const scene = new Scene({ queryPorts: () => answer(100) });
    for (let i = 0; i < 15; i++) {
      scene.take("connect", NO_PORT);
      await scene.settle();
      scene.wait(1000);
    }
    assert.equal(scene.portQueries.length, 2);
    assert.equal(scene.only.count, 15);
  });

  it("loses no failure that comes while the ports are counted", async () => {
    const scene = new Scene({ queryPorts: () => answer(100) });
    for (let i = 0; i < 500; i++) {
      scene.take("connect", { ...(NO_PORT as object), process: { ...PROCESS, pid: 1000 + i } });
    }
    await scene.settle();
    assert.equal(scene.only.count, 500);
    assert.equal(scene.only.parties[0]?.failures, 500);
  });

  it("is less certain where it is not known who had the ports, or they are not counted", async () => {
    assert.equal((await sceneOf(answer(20), NO_PORT)).only.confidence.level, "medium");
    const inferred = { ...(NO_PORT as object), inferred: ["result"] };
    assert.equal((await sceneOf(answer(20), inferred)).only.confidence.level, "low");
    assert.equal((await sceneOf(answer(100), inferred)).only.confidence.level, "high");
    assert.equal((await sceneOf(undefined, NO_PORT)).only.confidence.level, "medium");
  });

  it("is one finding for UDP, whatever the destination and the call", async () => {
    const peers = ["10.0.0.7:53", "10.0.0.8:123"].map(endpoint);
    const connects = peers.map((peer) =>
      connectFields({ protocol: "udp", result: "EAGAIN", peer }),
    );
    const bind = portBindFields({ protocol: "udp" });
    const send = portBindFields({ protocol: "udp", technique: "autobind", result: "EAGAIN" });
    const scene = await sceneOf(undefined, ...connects, bind, send, send);
    assert.match(
      scene.only.summary,
      /for UDP: connect\(\) failed 2 times with EAGAIN, bind\(\) failed 1 time with EADDRINUSE, sendto\(\) failed 2 times with EAGAIN\.$/,
    );
    assert.match(commands(scene.only), /ss -uanp/);
  });

  it("is bind() to port 0, where most ports are taken by connections", async () => {
    const scene = await sceneOf(answer(100), portBindFields(), portBindFields());
    assert.equal(scene.only.kind, "local_port_exhaustion");
    assert.deepEqual(scene.only.consequence.failed_binds, 2);
    assert.match(scene.only.summary, /bind\(\) failed 2 times with EADDRINUSE/);
  });

  it("of a socket with a range of its own is told of that, and widens nothing else", async () => {
    const port_range = { low: 30_000, high: 30_015 };
    const found = portAnswer({
      range: { ...port_range, available: 16 },
      taken: { total: 16, towards: 16, locked: 16, waiting: 0 },
    });
    const own = connectFields({ result: "EADDRNOTAVAIL", port_range });
    const scene = await sceneOf(found, own, NO_PORT);
    assert.deepEqual(scene.kinds.length, 2, "the namespace's range is another one");
    const [finding] = scene.engine.findings().filter(({ summary }) => /own range/.test(summary));
    assert.match(
      finding?.summary ?? "",
      /16 of the 16 ports 30000-30015 of the socket's own range/,
    );
    assert.match(finding?.explanation ?? "", /IP_LOCAL_PORT_RANGE, 30000-30015/);
    assert.doesNotMatch(commands(finding as never), /sysctl -w net\.ipv4\.ip_local_port_range/);
    assert.deepEqual(scene.portQueries[0]?.range, port_range);
  });

  it("leaves out what cannot help here", async () => {
    const waiting = { total: 100, towards: 100, locked: 0, waiting: 100 };
    const textWith = async (more: Partial<PortQueryResult>, peer = "10.0.0.7:443") => {
      const event = connectFields({ result: "EADDRNOTAVAIL", peer: endpoint(peer) });
      return commands((await sceneOf(portAnswer({ taken: waiting, ...more }), event)).only);
    };
    assert.match(await textWith({}), /sysctl -w net\.ipv4\.tcp_tw_reuse=1/);
    const stale = await textWith({ settings: { twReuse: 0, timestamps: 0 } });
    assert.doesNotMatch(stale, /sysctl -w net\.ipv4\.tcp_tw_reuse/);
    assert.match(stale, /since net\.ipv4\.tcp_timestamps is 0/);
    assert.doesNotMatch(await textWith({ settings: { twReuse: 1, timestamps: 1 } }), /tw_reuse/);
    const loopback = { settings: { twReuse: 2, timestamps: 1 } };
    assert.doesNotMatch(await textWith(loopback, "127.0.0.1:443"), /tw_reuse/);
    assert.match(await textWith(loopback), /tw_reuse/);
    const open = { taken: { ...waiting, waiting: 10 } };
    assert.doesNotMatch(await textWith(open), /tw_reuse/);
    const widest = { range: { low: 1024, high: 65_535, available: 64_512 } };
    assert.doesNotMatch(await textWith(widest), /ip_local_port_range/);
  });

  it("is one finding for all destinations beyond the first four", () => {
    const scene = new Scene();
    for (let i = 1; i <= 30; i++) {
      const peer = endpoint(`10.0.1.${i}:443`);
      scene.take("connect", connectFields({ result: "EADDRNOTAVAIL", peer }));
    }
    const counts = scene.engine.findings().map(({ count }) => count);
    assert.deepEqual(counts, [26, 1, 1, 1, 1]);
    assert.match(scene.engine.findings()[0]?.summary ?? "", /free local port for TCP: /);
  });

  it("over IPv6 waits for the count of ports, as a host without an address fails alike", async () => {
    const full = await sceneOf(answer(95), NO_PORT_6, NO_PORT_6);
    assert.equal(full.only.count, 2);
    full.take("connect", NO_PORT_6);
    assert.equal(full.only.count, 3);
    assert.equal(full.portQueries[0]?.failedAtMs, undefined, "what is closed proves nothing");
    for (const found of [answer(3), undefined]) {
      assert.deepEqual((await sceneOf(found, NO_PORT_6)).kinds, []);
    }
    const blind = new Scene();
    blind.take("connect", NO_PORT_6);
    assert.deepEqual(blind.kinds, []);
  });

  const clean: [string, object][] = [
    ["a refused connection", connectFields({ result: "ECONNREFUSED" })],
    ["no route", connectFields({ result: "ENETUNREACH" })],
    ["TCP's EAGAIN", connectFields({ result: "EAGAIN" })],
    [
      "UDP without an IPv6 address",
      connectFields({ protocol: "udp", family: "ipv6", result: "EADDRNOTAVAIL" }),
    ],
    ["success", connectFields()],
  ];
  for (const [what, event] of clean) {
    it(`is not ${what}`, async () => {
      assert.deepEqual((await sceneOf(answer(100), event)).kinds, []);
    });
  }
});

describe("port_locked_by_bind", () => {
  const RANGE = { low: 30_000 };
  const bound = (port: number, more: object = {}): object =>
    connectFields({
      technique: "bind_before_connect",
      local: { address: "10.0.0.1", port },
      peer: endpoint(`10.0.${port % 200}.7:443`),
      ...more,
    });

  function bindMany(scene: Scene, count: number, more: object = {}): void {
    for (let i = 0; i < count; i++) scene.take("connect", bound(RANGE.low + i, more));
  }

  it("is calls without a port, where bind() locked most of them", async () => {
    const victim = { process: { pid: 70, comm: "victim", uid: 1 } };
    const scene = await sceneOf(
      locked(100, [{ ...CRAWLER, ports: 100 }]),
      { ...(NO_PORT as object), ...victim },
      portBindFields(victim),
      portBindFields(victim),
    );
    const { kind, summary, parties, consequence } = scene.only;
    assert.equal(kind, "port_locked_by_bind");
    assert.match(summary, /^crawler \(pid 812\) locks 100 local TCP ports by bind\(\)/);
    assert.match(
      summary,
      /connect\(\) failed 1 time with EADDRNOTAVAIL, bind\(\) failed 2 times with EADDRINUSE of victim/,
    );
    assert.deepEqual(
      parties.map(({ role, process, ports, failures }) => [role, process?.comm, ports, failures]),
      [
        ["failed", "victim", undefined, 3],
        ["binder", "crawler", 100, undefined],
      ],
    );
    assert.deepEqual(consequence, {
      failed_connects: 1,
      failed_binds: 2,
      ports_locked: 100,
      ports_in_use: 100,
      ports_in_range: 100,
    });
    assert.doesNotMatch(`${summary} ${scene.only.explanation}`, /towards/);
  });

  it("is a full range of which a process holds most by bind(), before a call fails", async () => {
    const scene = new Scene({ queryPorts: () => locked(96, [{ ...CRAWLER, ports: 96 }]) });
    bindMany(scene, 96);
    await scene.settle();
    scene.wait(1000);
    await scene.settle();
    const { kind, severity, summary, consequence, parties } = scene.only;
    assert.deepEqual([kind, severity], ["port_locked_by_bind", "critical"]);
    assert.match(summary, /^crawler \(pid 812\) locks 96 local TCP ports by bind\(\)/);
    assert.match(summary, /96 of the 100 ports 30000-30099 are taken, and soon no other/);
    assert.deepEqual(consequence, { ports_locked: 96, ports_in_use: 96, ports_in_range: 100 });
    assert.deepEqual(parties[0]?.process, PROCESS);
    assert.match(commands(scene.only), /IP_BIND_ADDRESS_NO_PORT, &\(int\)\{1\}/);
  });

  it("asks within a second of the last connect, and seldom while nothing changes", async () => {
    const scene = new Scene({ queryPorts: () => locked(30) });
    bindMany(scene, 60);
    await scene.settle();
    scene.wait(1000);
    await scene.settle();
    assert.equal(scene.portQueries.length, 2);
    for (let i = 0; i < 30; i++) {
      scene.take("connect", bound(RANGE.low));
      scene.wait(1000);
      await scene.settle();
    }
    assert.ok(scene.portQueries.length <= 5, `${scene.portQueries.length} queries`);
  });

  const clean: [string, PortQueryResult | undefined, object][] = [
    ["such connects while the range has room", locked(60), {}],
    ["a range that others fill by connecting", answer(100, [{ ...CRAWLER, ports: 90 }]), {}],
    ["connects with IP_BIND_ADDRESS_NO_PORT", locked(100), { technique: "bind_address_no_port" }],
    ["plain connects", locked(100), { technique: "plain" }],
    ["UDP", locked(100), { protocol: "udp" }],
    ["anything without a count of ports", undefined, {}],
  ];
  for (const [what, found, more] of clean) {
    it(`is not ${what}`, async () => {
      const scene = new Scene({ queryPorts: () => found });
      bindMany(scene, 60, more);
      await scene.settle();
      scene.wait(3000);
      await scene.settle();
      assert.deepEqual(scene.kinds, []);
    });
  }
});
