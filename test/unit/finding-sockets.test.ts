import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { commands, connectFields, endpoint, PROCESS, Scene, tuple } from "../support/findings.ts";

const LOCAL = endpoint("10.0.0.5:8443");
const PEER = endpoint("203.0.113.9:47442");
const CONNECTION = { socket_cookie: "4711", local: LOCAL, peer: PEER, attribution: "socket" };

function challenge(more: object = {}): object {
  return {
    ...CONNECTION,
    tcp_state: "established",
    trigger: "syn",
    sent: true,
    rcv_nxt: 1,
    snd_una: 2,
    idle_ns: 2_000_000_000,
    ...more,
  };
}

function outcome(more: object = {}): object {
  return { ...CONNECTION, outcome: "reset_by_peer", delay_ns: 31_000_000, challenges: 1, ...more };
}

function collide(first: object = {}, last: object = {}): Scene {
  const scene = new Scene();
  scene.take("challenge_ack", challenge(first));
  scene.take("challenge_outcome", outcome(last));
  return scene;
}

describe("four_tuple_collision", () => {
  it("is a challenged SYN on a live connection and the peer's reset", () => {
    const { only } = collide();
    assert.deepEqual([only.kind, only.severity], ["four_tuple_collision", "critical"]);
    assert.deepEqual(only.evidence, [1, 2]);
    assert.deepEqual(only.consequence, { resets: 1, challenged_syns: 1 });
    assert.equal(only.confidence.level, "high");
    assert.match(only.summary, /of crawler \(pid 812\) on 10\.0\.0\.5:8443 was reset/);
    assert.match(only.summary, /from 203\.0\.113\.9 .* \(last: 203\.0\.113\.9:47442\)\.$/);
    assert.deepEqual(
      only.parties.map(({ role, process }) => [role, process?.pid]),
      [
        ["reset", PROCESS.pid],
        ["newcomer", undefined],
      ],
    );
    assert.match(commands(only), /cross_zone\.enabled,Value=false/);
    assert.match(
      commands(only),
      /--dport 8443 -j SNAT --to-source 203\.0\.113\.9 --random-fully$/m,
    );
    assert.deepEqual(
      only.remedies.map(({ where }) => where),
      [
        "the NAT gateway whose address is 203.0.113.9",
        "the NAT gateway whose address is 203.0.113.9",
        "a machine with the AWS CLI",
        undefined,
      ],
    );
  });

  it("merges connections of one peer address, and counts them", () => {
    const scene = new Scene();
    for (let i = 0; i < 3; i++) {
      const other = { socket_cookie: String(i), peer: { ...PEER, port: 47000 + i } };
      scene.take("challenge_ack", challenge(other));
      scene.take("challenge_outcome", outcome(other));
    }
    assert.equal(scene.only.count, 3);
    assert.equal(scene.only.consequence.resets, 3);
  });

  it("knows the newcomer where it is on this machine, and its delay", () => {
    const scene = collide();
    const newcomer = { local: PEER, peer: LOCAL, syn_retransmits: 1, duration_ns: 1_020_000_000 };
    const process = { pid: 99, comm: "curl", uid: 0 };
    scene.take("connect", connectFields({ ...newcomer, process }));
    assert.equal(scene.only.consequence.delay_seconds, 1.02);
    assert.equal(scene.only.parties.at(-1)?.process?.comm, "curl");
    assert.equal(scene.only.count, 1);
  });

  it("has no newcomer that connected before or after, nor one of two namespaces' connections", () => {
    const newcomer = { local: PEER, peer: LOCAL, syn_retransmits: 1, duration_ns: 1_020_000_000 };
    const late = collide();
    late.nowMs += 5000;
    late.take("connect", connectFields(newcomer));
    assert.equal(late.only.consequence.delay_seconds, undefined);
    const two = collide();
    const elsewhere = { netns: { cookie: "4999", inum: 4026532321 }, socket_cookie: "90500" };
    two.take("challenge_ack", challenge(elsewhere));
    two.take("challenge_outcome", outcome(elsewhere));
    two.take("connect", connectFields(newcomer));
    const findings = two.engine.findings();
    assert.equal(findings.length, 2);
    for (const { consequence } of findings) assert.equal(consequence.delay_seconds, undefined);
  });

  it("is the same for a SYN that an older kernel refuses for its timestamp", () => {
    assert.equal(collide({ trigger: "paws" }).only.confidence.level, "high");
  });

  it("works without socket cookies", () => {
    const cookie = { socket_cookie: undefined };
    assert.equal(collide(cookie, cookie).only.kind, "four_tuple_collision");
  });

  it("is less certain the less is known of the idle time", () => {
    assert.equal(collide({ idle_ns: undefined }).only.confidence.level, "medium");
    assert.equal(collide({ idle_ns: 30e9 }).only.confidence.level, "medium");
  });

  const clean: [string, object, object][] = [
    ["a blind probe", {}, { outcome: "survived" }],
    ["a connection that was closed", {}, { outcome: "closed" }],
    ["a forged RST", { trigger: "rst" }, {}],
    ["an old ACK", { trigger: "ack_too_old" }, {}],
    ["a SYN on a half-open connection", { tcp_state: "new_syn_recv" }, {}],
    ["a peer that restarted", { idle_ns: 61e9 }, {}],
    ["a reset much later", {}, { delay_ns: 4e9 }],
    ["a reset that answers no challenge", { sent: false, limiter: "socket" }, {}],
    ["another connection's reset", {}, { socket_cookie: "1" }],
  ];
  for (const [what, first, last] of clean) {
    it(`is not ${what}`, () => assert.deepEqual(collide(first, last).kinds, []));
  }
});

describe("udp_overshadowing", () => {
  const conflict = {
    socket_cookie: "11",
    local: endpoint("10.0.0.5:5000"),
    process: { pid: 70, comm: "older", uid: 0 },
  };
  const fields = { protocol: "udp", peer: endpoint("10.0.0.9:443"), local: conflict.local };
  const fixed = { ...fields, technique: "reuseaddr" };

  it("is a second live socket on a 4-tuple, of another process", () => {
    const scene = new Scene();
    scene.take("connect", connectFields({ ...fixed, conflict }));
    const { kind, severity, summary, parties, confidence } = scene.only;
    assert.deepEqual([kind, severity, confidence.level], ["udp_overshadowing", "warning", "high"]);
    assert.match(summary, /socket of older \(pid 70\) on 10\.0\.0\.5:5000 -> 10\.0\.0\.9:443/);
    assert.match(summary, /crawler \(pid 812\) connected another/);
    assert.deepEqual(
      parties.map(({ role, process, socket_cookie }) => [role, process?.pid, socket_cookie]),
      [
        ["overshadowed", 70, "11"],
        ["receiver", 812, "90417"],
      ],
    );
    assert.match(
      commands(scene.only),
      /^ip netns exec web ss -uanp 'sport = :5000 and dst 10\.0\.0\.9:443'$/m,
    );
  });

  it("is only information when a process does it to itself", () => {
    const scene = new Scene();
    scene.take("connect", connectFields({ ...fixed, conflict: { ...conflict, process: PROCESS } }));
    assert.deepEqual([scene.only.severity, scene.only.confidence.level], ["info", "low"]);
  });

  for (const technique of ["plain", "bind_before_connect", "bind_address_no_port"]) {
    it(`is never meant where the kernel chose the port (${technique})`, () => {
      const scene = new Scene();
      const own = { ...fields, technique, conflict: { ...conflict, process: PROCESS } };
      scene.take("connect", connectFields(own));
      scene.take("connect", connectFields({ ...own, socket_cookie: "90418" }));
      const { severity, confidence, summary, count, consequence } = scene.only;
      assert.deepEqual([severity, confidence.level, count], ["warning", "high", 2]);
      assert.equal(consequence.overshadowed_sockets, 2);
      assert.match(
        summary,
        /^The kernel gave 2 UDP sockets of crawler \(pid 812\) to 10\.0\.0\.9:443 /,
      );
      assert.match(
        summary,
        /an older socket of its own has .* 10\.0\.0\.5:5000 -> 10\.0\.0\.9:443\)\.$/,
      );
      assert.doesNotMatch(JSON.stringify(scene.only), /on purpose/);
      assert.match(
        commands(scene.only),
        /^ip netns exec web ss -uanp 'sport = :5000 and dst 10\.0\.0\.9:443'$/m,
      );
      assert.match(
        commands(scene.only),
        /^Do not set SO_REUSEADDR or SO_REUSEPORT on UDP sockets/m,
      );
    });
  }

  it("names both programs to which the kernel gave one port", () => {
    const scene = new Scene();
    scene.take("connect", connectFields({ ...fields, conflict }));
    assert.match(
      scene.only.summary,
      /of crawler \(pid 812\) .* older socket of older \(pid 70\) has/,
    );
    assert.deepEqual([scene.only.severity, scene.only.parties.length], ["warning", 2]);
  });

  it("is not a connect without a conflict, nor one that failed", () => {
    const scene = new Scene();
    scene.take("connect", connectFields(fields));
    scene.take("connect", connectFields({ ...fields, conflict, result: "ECONNREFUSED" }));
    assert.deepEqual(scene.kinds, []);
  });
});

describe("stale_conntrack_reuse", () => {
  const stale = (more: object = {}): object => ({
    socket_cookie: "55",
    protocol: "udp",
    process: { pid: 500, comm: "proxy", uid: 1337 },
    original: tuple("10.0.0.5:40000 > 10.96.0.10:53"),
    reply: tuple("127.0.0.1:8053 > 10.0.0.5:40000"),
    nat: "dnat",
    zone: 0,
    age_ns: 12_345_000_000,
    old_owner: { process: { pid: 400, comm: "client", uid: 1000 }, netns: { inum: 1 } },
    redirected: true,
    actual_destination: endpoint("127.0.0.1:8053"),
    ...more,
  });

  function findings(more: object = {}): Scene {
    const scene = new Scene();
    scene.take("stale_flow_reuse", stale(more));
    return scene;
  }

  it("is a proxy whose packets follow a client's redirection", () => {
    const { only } = findings();
    assert.deepEqual([only.kind, only.severity], ["stale_conntrack_reuse", "critical"]);
    assert.match(
      only.summary,
      /^proxy \(pid 500\) sends to 10\.96\.0\.10:53, but its packets go to/,
    );
    assert.match(only.summary, /127\.0\.0\.1:8053, on this machine/);
    assert.match(only.summary, /port 40000 still has the NAT entry of client \(pid 400\)\.$/);
    assert.match(
      commands(only),
      /^ip netns exec web iptables -w -t raw -I OUTPUT -p udp -d 10\.96\.0\.10 --dport 53 -m owner --uid-owner 1337 -j CT --notrack$/m,
    );
    assert.match(commands(only), /-s 10\.0\.0\.5 --sport 40000 -d 10\.96\.0\.10 --dport 53/);
    assert.equal(only.consequence.entry_age_seconds_max, 12.345);
    assert.equal(only.confidence.level, "high");
  });

  it("is less certain without the old owner, and information when it leads elsewhere", () => {
    assert.equal(findings({ old_owner: undefined }).only.confidence.level, "medium");
    const away = endpoint("10.244.0.3:53");
    const elsewhere = { actual_destination: away, reply: { src: away, dst: LOCAL } };
    assert.equal(findings(elsewhere).only.severity, "info");
  });

  const clean: [string, object][] = [
    ["an entry without NAT", { nat: "none", redirected: false }],
    ["an entry that translates only the source", { nat: "snat", redirected: false }],
    [
      "an entry that leads where the packet was sent",
      { actual_destination: endpoint("10.96.0.10:53"), redirected: false },
    ],
    ["a client that uses its own port again", { process: { pid: 401, comm: "client", uid: 1000 } }],
  ];
  for (const [what, more] of clean) {
    it(`is not ${what}`, () => assert.deepEqual(findings(more).kinds, []));
  }
});

describe("conntrack_table_full", () => {
  const refused = (more: object = {}): object => ({
    protocol: "udp",
    original: tuple("10.0.0.5:40000 > 10.0.0.9:53"),
    reply: tuple("10.0.0.9:53 > 10.0.0.5:40000"),
    nat: "none",
    zone: 0,
    verdict: "dropped",
    cause: "table_full",
    ...more,
  });

  it("is one finding per namespace, with the limit and a greater one", () => {
    const scene = new Scene({ table: { entries: 262_144, limit: 262_144 } });
    for (let i = 0; i < 7; i++) scene.take("conntrack_insert_failed", refused());
    const { kind, summary, consequence, confidence } = scene.only;
    assert.deepEqual([kind, confidence.level], ["conntrack_table_full", "high"]);
    assert.match(summary, /full \(nf_conntrack_max is 262144\): 7 packets .* were dropped/);
    assert.deepEqual(consequence, { lost_packets: 7, conntrack_limit: 262_144 });
    assert.match(commands(scene.only), /nf_conntrack_max=524288/);
  });

  it("is not another cause", () => {
    const scene = new Scene();
    scene.take("conntrack_insert_failed", refused({ cause: "chain_too_long" }));
    scene.take("conntrack_insert_failed", refused({ cause: "clash" }));
    assert.deepEqual(scene.kinds, []);
  });
});
