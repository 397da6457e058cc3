import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { PortQueryResult } from "../../src/ports/query.ts";
import {
  commands,
  connectFields,
  endpoint,
  portAnswer,
  portBindFields,
  sceneOf,
} from "../support/findings.ts";

describe("port_held_by_connection", () => {
  const taken = portBindFields({
    technique: "fixed_port",
    local: { address: "0.0.0.0", port: 10_254 },
    process: { pid: 50, comm: "ingress", uid: 0 },
  });
  const connection = { peer: endpoint("127.0.0.1:2379"), state: "established", isByChance: true };
  const APISERVER = { process: { pid: 40, comm: "apiserver", uid: 0 }, ports: 1 };

  it("names the service, the holder and its destination, and reserves the port", async () => {
    const found = portAnswer({
      sockets: [connection],
      holders: [APISERVER],
      range: { low: 10_000, high: 20_000, available: 9_990, reserved: "10250,10256-10259" },
    });
    const scene = await sceneOf(found, taken, taken, taken);
    const { kind, severity, summary, parties, count } = scene.only;
    assert.deepEqual([kind, severity, count], ["port_held_by_connection", "critical", 3]);
    assert.equal(
      summary,
      "ingress (pid 50) cannot use TCP port 10254: bind() failed 3 times with EADDRINUSE, because an " +
        "outgoing connection of apiserver (pid 40) to 127.0.0.1:2379 has it.",
    );
    assert.deepEqual(
      parties.map(({ role, process, failures }) => [role, process?.comm, failures]),
      [
        ["failed", "ingress", 3],
        ["holder", "apiserver", undefined],
      ],
    );
    const text = commands(scene.only);
    assert.match(text, /sysctl -w net\.ipv4\.ip_local_reserved_ports=10250,10256-10259,10254$/m);
    assert.match(text, /ss -K -t 'sport = :10254'$/m);
    assert.equal(scene.portQueries[0]?.port, 10_254);
  });

  it("in TIME_WAIT is in nobody's way with SO_REUSEADDR", async () => {
    const found = portAnswer({
      sockets: [{ ...connection, state: "time_wait" }],
      holders: [{ ...APISERVER, without: "time_wait" }],
    });
    const scene = await sceneOf(found, taken);
    assert.match(scene.only.summary, /has it, and is in TIME_WAIT\.$/);
    assert.match(commands(scene.only), /SO_REUSEADDR/);
    assert.doesNotMatch(commands(scene.only), /ss -K/);
  });

  const clean: [string, PortQueryResult["sockets"]][] = [
    [
      "another service on the port",
      [{ peer: undefined, state: "listen", isByChance: false }, connection],
    ],
    ["a port that somebody asked for", [{ ...connection, isByChance: false }]],
    ["a port that nobody has any more", []],
  ];
  for (const [what, sockets] of clean) {
    it(`is not ${what}`, async () => {
      assert.deepEqual((await sceneOf(portAnswer({ sockets }), taken)).kinds, []);
    });
  }

  it("loses no program's failure while it waits for a look at the sockets", async () => {
    const programs = Array.from({ length: 70 }, (_, i) => ({
      ...(taken as object),
      process: { pid: 500 + i, comm: `worker-${i}`, uid: 0 },
    }));
    const found = portAnswer({ sockets: [connection], holders: [APISERVER] });
    assert.equal((await sceneOf(found, ...programs, ...programs)).only.count, 140);
  });

  it("is not told without a look at the sockets", async () => {
    assert.deepEqual((await sceneOf(undefined, taken)).kinds, []);
  });
});

describe("source_tuple_taken", () => {
  const own = connectFields({
    result: "EADDRNOTAVAIL",
    technique: "bound_port",
    local: { address: "10.0.0.1", port: 4000 },
  });
  const connection = { peer: endpoint("10.0.0.7:443"), state: "established", isByChance: false };
  const BACKUP = { process: { pid: 40, comm: "backup", uid: 0 }, ports: 1 };

  it("names whoever has the connection", async () => {
    const found = portAnswer({ sockets: [connection], holders: [BACKUP] });
    const { kind, severity, summary, parties } = (await sceneOf(found, own, own)).only;
    assert.deepEqual([kind, severity], ["source_tuple_taken", "warning"]);
    assert.equal(
      summary,
      "crawler (pid 812) could not connect from its own port 4000 to 10.0.0.7:443: connect() failed 2 " +
        "times with EADDRNOTAVAIL, because a connection of backup (pid 40) has these two ends.",
    );
    assert.deepEqual(
      parties.map(({ role, process }) => [role, process?.comm]),
      [
        ["failed", "crawler"],
        ["holder", "backup"],
      ],
    );
  });

  it("says of TIME_WAIT what keeps it from giving way", async () => {
    const found = portAnswer({
      sockets: [{ ...connection, state: "time_wait" }],
      holders: [{ ...BACKUP, without: "time_wait" }],
      settings: { twReuse: 0, timestamps: 0 },
    });
    const { only } = await sceneOf(found, own);
    assert.match(
      only.summary,
      /a connection of backup \(pid 40\) with these two ends is in TIME_WAIT/,
    );
    assert.match(commands(only), /sysctl -w net\.ipv4\.tcp_timestamps=1/);
  });

  it("names the holder of the event where the sockets are gone", async () => {
    const holder = { process: { pid: 40, comm: "backup", uid: 0 } };
    const { only } = await sceneOf(undefined, { ...own, holder });
    assert.match(only.summary, /a connection of backup \(pid 40\) has/);
    assert.equal(only.confidence.level, "medium");
  });

  it("over IPv6 is none without such a socket", async () => {
    const event = { ...own, family: "ipv6" };
    assert.deepEqual((await sceneOf(portAnswer(), event)).kinds, []);
    const found = portAnswer({ sockets: [connection], holders: [BACKUP] });
    assert.equal((await sceneOf(found, event)).only.kind, "source_tuple_taken");
  });
});
