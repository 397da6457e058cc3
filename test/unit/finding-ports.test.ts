import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { PortHolder } from "../../src/ports/ports.schema.ts";
import type { PortQueryResult } from "../../src/ports/query.ts";
import { commands, connectFields, endpoint, PROCESS, Scene } from "../support/findings.ts";

const RANGE = { low: 30_000, high: 30_099, available: 100 };
const HOLDERS: PortHolder[] = [
  { process: { pid: 812, comm: "crawler" }, ports: 60 },
  { without: "time_wait", ports: 40 },
];

function answer(inUse: number, holders: readonly PortHolder[] = HOLDERS): PortQueryResult {
  const use = { in_use: inUse, bound_without_peer: 0, sockets: inUse };
  return { range: RANGE, reserved: "", use, holders };
}

const NO_PORT = connectFields({ result: "EADDRNOTAVAIL" });
const NO_PORT_6 = connectFields({
  result: "EADDRNOTAVAIL",
  family: "ipv6",
  peer: endpoint("[2001:db8::7]:443"),
});

describe("local_port_exhaustion", () => {
  it("keeps its times when the clock is set while the ports are being counted", async () => {
    const scene = new Scene({ queryPorts: () => answer(100) });
    scene.take("connect", NO_PORT);
    scene.engine.shiftTimes(3_600_000);
    await scene.settle();
    const { first_seen, last_seen, parties } = scene.only;
    assert.ok(parties.length > 1, "the holders are told");
    assert.deepEqual([first_seen, last_seen], Array(2).fill("2026-03-14T16:09:26.000000000Z"));
  });

  it("says who failed, who holds how many ports of which range, and what to do", async () => {
    const scene = new Scene({ queryPorts: () => answer(100) });
    scene.take("connect", NO_PORT);
    assert.equal(scene.only.confidence.level, "medium");
    await scene.settle();
    scene.take("connect", NO_PORT);
    const { kind, severity, summary, parties, consequence, confidence } = scene.only;
    assert.deepEqual(
      [kind, severity, confidence.level],
      ["local_port_exhaustion", "critical", "high"],
    );
    assert.equal(
      summary,
      "crawler (pid 812) found no free local port for TCP to 10.0.0.7:443: connect() failed 2 " +
        "times with EADDRNOTAVAIL; 100 of the 100 ports 30000-30099 are in use, 60 of them by " +
        "crawler (pid 812).",
    );
    assert.deepEqual(
      parties.map(({ role, ports }) => [role, ports]),
      [
        ["failed", undefined],
        ["holder", 60],
        ["time_wait", 40],
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

  it("counts the ports again only after ten seconds", async () => {
    const scene = new Scene({ queryPorts: () => answer(100) });
    for (let i = 0; i < 15; i++) {
      scene.take("connect", NO_PORT);
      await scene.settle();
      scene.wait(1000);
    }
    assert.equal(scene.portQueries.length, 2);
  });

  it("is less certain when the range is not full, or ports are not counted", async () => {
    const scene = new Scene({ queryPorts: () => answer(20) });
    scene.take("connect", NO_PORT);
    await scene.settle();
    assert.equal(scene.only.confidence.level, "low");
    const none = new Scene({ queryPorts: () => undefined });
    none.take("connect", NO_PORT);
    await none.settle();
    assert.equal(none.only.confidence.level, "medium");
  });

  it("is one finding for UDP, whatever the destination", () => {
    const scene = new Scene();
    for (const peer of ["10.0.0.7:53", "10.0.0.8:123"].map(endpoint)) {
      scene.take("connect", connectFields({ protocol: "udp", result: "EAGAIN", peer }));
    }
    assert.match(scene.only.summary, /for UDP: connect\(\) failed 2 times with EAGAIN\.$/);
    assert.match(commands(scene.only), /ss -uanp/);
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
    const full = new Scene({ queryPorts: () => answer(95) });
    const seqs = [full.take("connect", NO_PORT_6), full.take("connect", NO_PORT_6)];
    assert.deepEqual(full.kinds, []);
    await full.settle();
    assert.deepEqual(full.only.evidence, seqs);
    assert.equal(full.only.count, 2);
    full.take("connect", NO_PORT_6);
    assert.equal(full.only.count, 3);
    for (const queryPorts of [() => answer(3), () => undefined]) {
      const scene = new Scene({ queryPorts });
      scene.take("connect", NO_PORT_6);
      await scene.settle();
      assert.deepEqual(scene.kinds, []);
    }
    const blind = new Scene();
    blind.take("connect", NO_PORT_6);
    assert.deepEqual(blind.kinds, []);
  });

  const clean: [string, object][] = [
    ["a fixed port whose 4-tuple is taken", { result: "EADDRNOTAVAIL", technique: "reuseaddr" }],
    ["a bound port that is taken", { result: "EADDRNOTAVAIL", technique: "bound_port" }],
    ["a refused connection", { result: "ECONNREFUSED" }],
    ["no route", { result: "ENETUNREACH" }],
    ["TCP's EAGAIN", { result: "EAGAIN" }],
    ["UDP without an IPv6 address", { protocol: "udp", family: "ipv6", result: "EADDRNOTAVAIL" }],
    ["success", {}],
  ];
  for (const [what, more] of clean) {
    it(`is not ${what}`, () => {
      const scene = new Scene();
      scene.take("connect", connectFields(more));
      assert.deepEqual(scene.kinds, []);
    });
  }
});

describe("port_locked_by_bind", () => {
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

  it("is a full range of which a process holds most by bind()", async () => {
    const scene = new Scene({
      queryPorts: () => answer(96, [{ process: { pid: 812, comm: "crawler" }, ports: 96 }]),
    });
    bindMany(scene, 96);
    await scene.settle();
    scene.wait(1000);
    await scene.settle();
    const { kind, severity, summary, consequence, parties } = scene.only;
    assert.deepEqual([kind, severity], ["port_locked_by_bind", "critical"]);
    assert.match(summary, /^crawler \(pid 812\) locks 96 local TCP ports by bind\(\)/);
    assert.match(summary, /96 of the 100 ports 30000-30099 are in use/);
    assert.deepEqual(consequence, { ports_locked: 96, ports_in_use: 96, ports_in_range: 100 });
    assert.deepEqual(parties[0]?.process, PROCESS);
    assert.match(commands(scene.only), /IP_BIND_ADDRESS_NO_PORT, &\(int\)\{1\}/);
  });

  it("counts ports in TIME_WAIT as far as the process used as many", async () => {
    const scene = new Scene({
      queryPorts: () => answer(95, [{ without: "time_wait", ports: 95 }]),
    });
    bindMany(scene, 95);
    scene.wait(1000);
    await scene.settle();
    assert.equal(scene.only.consequence.ports_locked, 95);
  });

  it("asks within a second of the last connect, and seldom while nothing changes", async () => {
    const scene = new Scene({ queryPorts: () => answer(30) });
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
    ["such connects while the range has room", answer(60), {}],
    [
      "a range that others fill",
      answer(100, [{ process: { pid: 9, comm: "other" }, ports: 90 }]),
      {},
    ],
    ["connects with IP_BIND_ADDRESS_NO_PORT", answer(100), { technique: "bind_address_no_port" }],
    ["plain connects", answer(100), { technique: "plain" }],
    ["UDP", answer(100), { protocol: "udp" }],
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

  it("forgets what was used a minute ago", async () => {
    let inUse = 40;
    const scene = new Scene({
      queryPorts: () => answer(inUse, [{ without: "time_wait", ports: inUse }]),
    });
    bindMany(scene, 60);
    await scene.settle();
    scene.wait(70_000);
    inUse = 95;
    for (let i = 0; i < 17; i++) scene.take("connect", bound(RANGE.low + i));
    scene.wait(1000);
    await scene.settle();
    assert.deepEqual(scene.kinds, []);
  });
});
