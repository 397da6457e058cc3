import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { commands, connectFields, endpoint, Scene, tuple } from "../support/findings.ts";

const WINNER = {
  original: tuple("10.77.2.2:6001 > 10.77.3.2:5355"),
  reply: tuple("10.77.3.2:5355 > 10.77.3.1:6001"),
  owner: { process: { pid: 72, comm: "second", uid: 0 }, netns: { cookie: "72", inum: 72 } },
};

/** A flow of container 1 that lost its source port to container 2's. */
function refused(more: object = {}): object {
  return {
    attribution: "flow_owner",
    protocol: "tcp",
    original: tuple("10.77.1.2:6001 > 10.77.3.2:5355"),
    reply: tuple("10.77.3.2:5355 > 10.77.3.1:6001"),
    nat: "snat",
    zone: 0,
    verdict: "dropped",
    cause: "clash",
    owner: { process: { pid: 71, comm: "first", uid: 0 }, netns: { cookie: "71", inum: 71 } },
    winner: WINNER,
    ...more,
  };
}

/** Flow `n` of several that were given a port which is not theirs. */
function remapped(n: number, more: object = {}): object {
  return refused({
    protocol: "udp",
    original: tuple(`10.77.1.2:${7000 + n} > 10.77.3.2:5355`),
    reply: tuple("10.77.3.2:5355 > 10.77.3.1:5000"),
    ...more,
  });
}

describe("nat_insert_race", () => {
  it("is one refused flow, with both sides and the delay until its retry", () => {
    const scene = new Scene();
    const first = scene.take("conntrack_insert_failed", refused());
    scene.nowMs += 1010;
    const { original } = refused() as { original: object };
    const second = scene.take("flow_retry", { protocol: "tcp", original, delay_ns: 1_010_000_000 });
    const third = scene.take(
      "connect",
      connectFields({
        netns: { cookie: "71", inum: 71 },
        process: { pid: 71, comm: "first", uid: 0 },
        local: endpoint("10.77.1.2:6001"),
        peer: endpoint("10.77.3.2:5355"),
        syn_retransmits: 1,
        duration_ns: 1_012_000_000,
      }),
    );
    const { kind, severity, summary, consequence, evidence, parties, confidence } = scene.only;
    assert.deepEqual([kind, severity, confidence.level], ["nat_insert_race", "warning", "high"]);
    assert.deepEqual(evidence, [first, second, third]);
    assert.deepEqual(consequence, {
      lost_packets: 1,
      delayed_flows: 1,
      delay_seconds: 1.01,
      delay_seconds_max: 1.01,
    });
    assert.deepEqual(
      parties.map(({ role, process }) => [role, process?.pid]),
      [
        ["refused", 71],
        ["holder", 72],
      ],
    );
    assert.match(summary, /^1 TCP packet of first \(pid 71\) to 10\.77\.3\.2:5355 was dropped/);
    assert.match(summary, /NAT source 10\.77\.3\.1:6001 .* by up to 1\.01 s\.$/);
    assert.match(commands(scene.only), /-d 10\.77\.3\.2 --dport 5355 .*--random-fully/);
  });

  it("learns the delay from connect where there is no flow_retry", () => {
    const scene = new Scene();
    scene.take("conntrack_insert_failed", refused());
    const local = endpoint("10.77.1.2:6001");
    const peer = endpoint("10.77.3.2:5355");
    const late = { local, peer, syn_retransmits: 1, duration_ns: 3_000_000_000 };
    scene.take("connect", connectFields(late));
    assert.equal(scene.only.consequence.delay_seconds_max, 3);
    scene.take("connect", connectFields({ ...late, result: "ETIMEDOUT" }));
    assert.equal(scene.only.consequence.failed_connects, 1);
    assert.equal(scene.only.consequence.delayed_flows, 1);
  });

  it("stays one when many flows that kept their port lose it, however often", () => {
    const scene = new Scene();
    for (let port = 6001; port <= 6040; port++) {
      const original = tuple(`10.77.1.2:${port} > 10.77.3.2:5355`);
      const reply = tuple(`10.77.3.2:5355 > 10.77.3.1:${port}`);
      scene.take("conntrack_insert_failed", refused({ original, reply }));
      scene.nowMs += 20;
    }
    assert.equal(scene.only.kind, "nat_insert_race");
    assert.equal(scene.only.count, 40);
  });

  it("names DNS, and two requests of one socket", () => {
    const scene = new Scene();
    const original = tuple("10.0.0.5:40000 > 10.96.0.10:53");
    const reply = tuple("10.244.0.3:53 > 10.0.0.5:40000");
    const both = { protocol: "udp", nat: "dnat", original, reply };
    for (let i = 0; i < 3; i++) {
      scene.take("conntrack_insert_failed", refused({ ...both, winner: { original, reply } }));
    }
    assert.equal(scene.only.kind, "nat_insert_race");
    assert.match(scene.only.summary, /^3 DNS requests .* to 10\.96\.0\.10:53 were dropped/);
    assert.match(commands(scene.only), /single-request-reopen/);
    assert.doesNotMatch(commands(scene.only), /random-fully/);
  });

  const clean: [string, object][] = [
    ["a clash that was resolved", { verdict: "resolved" }],
    ["a clash without NAT", { nat: "none" }],
    ["a chain that is too long", { cause: "chain_too_long" }],
    ["an entry that died", { cause: "dying" }],
  ];
  for (const [what, more] of clean) {
    it(`is not ${what}`, () => {
      const scene = new Scene();
      scene.take("conntrack_insert_failed", refused(more));
      assert.deepEqual(scene.kinds, []);
    });
  }

  it("is not a slow connect that nothing refused", () => {
    const scene = new Scene();
    const local = endpoint("10.77.1.2:6001");
    scene.take("connect", connectFields({ local, syn_retransmits: 2, duration_ns: 3e9 }));
    assert.deepEqual(scene.kinds, []);
  });

  it("is less certain where the cause is inferred", () => {
    const scene = new Scene();
    const { winner: _, ...alone } = refused({ inferred: ["cause"] }) as { winner: object };
    scene.take("conntrack_insert_failed", alone);
    assert.equal(scene.only.confidence.level, "medium");
  });
});

describe("two flows of one tuple", () => {
  const retry = (more: object) => ({
    protocol: "tcp",
    original: tuple("10.77.1.2:6001 > 10.77.3.2:5355"),
    delay_ns: 1e9,
    zone: 0,
    ...more,
  });
  const A = { netns: { cookie: "201", inum: 9 }, owner: undefined };
  const B = { netns: { cookie: "202", inum: 9 }, owner: undefined };
  const places: [string, object, object][] = [
    ["in two namespaces, though of one inode number", A, B],
    ["in two zones of one namespace", { ...A, zone: 1 }, { ...A, zone: 2 }],
  ];
  for (const [where, first, second] of places) {
    it(`${where} are two findings, each with its own retry`, () => {
      const scene = new Scene();
      const refusal = scene.take("conntrack_insert_failed", refused(first));
      scene.nowMs += 1000;
      scene.take("conntrack_insert_failed", refused(second));
      const accepted = scene.take("flow_retry", retry(first));
      assert.deepEqual(scene.kinds, ["nat_insert_race", "nat_insert_race"]);
      const [other, mine] = scene.engine
        .findings()
        .sort((a, b) => (b.evidence_count === 2 ? -1 : a.evidence_count - b.evidence_count));
      assert.deepEqual(mine?.evidence, [refusal, accepted]);
      assert.equal(mine?.consequence.delayed_flows, 1);
      assert.equal(other?.consequence.delayed_flows, undefined);
    });
  }

  it("in namespaces without a cookie that had one number, but not one name, are two findings", () => {
    const scene = new Scene();
    const first = { netns: { inum: 9, name: "first" }, owner: undefined };
    scene.take("conntrack_insert_failed", refused(first));
    const original = tuple("10.77.1.2:6009 > 10.77.3.2:5355");
    const second = { ...first, netns: { inum: 9, name: "second" }, original };
    scene.take("conntrack_insert_failed", refused(second));
    assert.deepEqual(scene.kinds, ["nat_insert_race", "nat_insert_race"]);
  });

  it("is joined with its retry where only one of both knows the namespace's name", () => {
    const scene = new Scene();
    const nameless = { netns: { inum: 9 }, owner: undefined };
    scene.take("conntrack_insert_failed", refused(nameless));
    scene.nowMs += 1000;
    scene.take("flow_retry", retry({ netns: { inum: 9, name: "late" } }));
    assert.equal(scene.engine.findings()[0]?.consequence.delayed_flows, 1);
  });

  const late = connectFields({
    local: endpoint("10.77.1.2:6001"),
    peer: endpoint("10.77.3.2:5355"),
    syn_retransmits: 1,
    duration_ns: 3e9,
  }) as object;

  it("is not delayed by a namespace's connect that is neither its own nor its owner's", () => {
    const scene = new Scene();
    scene.take("conntrack_insert_failed", refused());
    scene.take("connect", { ...late, netns: { cookie: "99", inum: 71 } });
    const delay = () => scene.only.consequence.delay_seconds_max;
    assert.equal(delay(), undefined);
    scene.take("connect", { ...late, netns: { cookie: "71", inum: 71 } });
    assert.equal(delay(), 3);
  });

  it("from one namespace, in two zones, is not told apart by its connect", () => {
    const scene = new Scene();
    for (const zone of [1, 2]) scene.take("conntrack_insert_failed", refused({ zone }));
    scene.take("connect", { ...late, netns: { cookie: "71", inum: 71 } });
    for (const { consequence } of scene.engine.findings()) {
      assert.deepEqual(consequence, { lost_packets: 1 });
    }
  });

  it("has as parties two processes of one id in two cgroups", () => {
    const scene = new Scene();
    const process = { pid: 71, comm: "first", uid: 0 };
    for (const id of ["31", "32"]) {
      scene.take("conntrack_insert_failed", refused({ owner: { process, cgroup: { id } } }));
    }
    const ids = scene.only.parties.filter(({ role }) => role === "refused");
    assert.deepEqual(
      ids.map(({ cgroup }) => cgroup?.id),
      ["31", "32"],
    );
  });
});

describe("nat_ports_exhausted", () => {
  it("is a flow whose retry is refused too, and takes the race's place with its evidence", () => {
    const scene = new Scene();
    const first = scene.take("conntrack_insert_failed", refused());
    assert.deepEqual(scene.kinds, ["nat_insert_race"]);
    scene.nowMs += 1000;
    const second = scene.take("conntrack_insert_failed", refused({ refusals: 2 }));
    assert.deepEqual(scene.kinds, ["nat_ports_exhausted"]);
    const { evidence, count, severity, id, consequence } = scene.only;
    assert.deepEqual(evidence, [first, second]);
    assert.deepEqual([count, severity, consequence.lost_packets], [2, "critical", 2]);
    const race = scene.emitted.filter(({ kind }) => kind === "nat_insert_race").at(-1);
    assert.deepEqual(
      [race?.state, race?.close_reason, race?.replaced_by],
      ["closed", "replaced", id],
    );
  });

  it("is three flows that get no port within ten seconds", () => {
    const scene = new Scene();
    for (const n of [1, 2]) scene.take("conntrack_insert_failed", remapped(n));
    assert.deepEqual(scene.kinds, ["nat_insert_race"]);
    scene.take("conntrack_insert_failed", remapped(3));
    assert.deepEqual(scene.kinds, ["nat_ports_exhausted"]);
    scene.take("conntrack_insert_failed", remapped(4));
    assert.equal(scene.only.count, 4);
    assert.match(
      scene.only.summary,
      /no source port left on 10\.77\.3\.1 towards 10\.77\.3\.2:5355/,
    );
    assert.match(commands(scene.only), /--to-source 10\.77\.3\.1:1024-65535/);
  });

  it("is not three flows of which one succeeds, nor three in half a minute", () => {
    const lucky = new Scene();
    for (const n of [1, 2]) lucky.take("conntrack_insert_failed", remapped(n));
    const { original } = remapped(1) as { original: object };
    lucky.take("flow_retry", { protocol: "udp", original, delay_ns: 5e9 });
    lucky.take("conntrack_insert_failed", remapped(3));
    assert.deepEqual(lucky.kinds, ["nat_insert_race"]);
    const rare = new Scene();
    for (const n of [1, 2, 3]) {
      rare.take("conntrack_insert_failed", remapped(n));
      rare.wait(10_500);
    }
    assert.deepEqual(rare.kinds, ["nat_insert_race"]);
  });

  it("is not a port used again for another flow, minutes later", () => {
    const scene = new Scene();
    scene.take("conntrack_insert_failed", refused());
    scene.wait(200_000);
    scene.take("conntrack_insert_failed", refused());
    assert.deepEqual(scene.kinds, ["nat_insert_race"]);
  });
});
