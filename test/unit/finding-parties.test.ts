import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { blamedText, most, partyText } from "../../src/findings/blame.ts";
import type { Party } from "../../src/findings/finding.ts";
import { DistinctParties } from "../../src/findings/parties.ts";
import { connectFields, endpoint, PROCESS, Scene } from "../support/findings.ts";

const NETNS = { cookie: "77", inum: 7 };

function party(more: Partial<Party> = {}): Party {
  return { role: "failed", process: PROCESS, netns: NETNS, failures: 1, ...more };
}

function named(comm: string, more: Partial<Party> & { uid?: number; pid?: number } = {}): Party {
  const { uid = 1000, pid = 1, ...rest } = more;
  return party({ process: { pid, comm, uid }, ...rest });
}

function listOf(...observations: readonly Party[][]): readonly Party[] {
  const parties = new DistinctParties();
  for (const observation of observations) parties.add(observation);
  return parties.list;
}

describe("a party", () => {
  it("is a program: the first process that was seen, how many, and their failures", () => {
    const local = endpoint("10.0.0.5:5000");
    const [server, ...others] = listOf(
      [named("fpm", { pid: 5, local })],
      [named("fpm", { pid: 6, local: endpoint("10.0.0.5:6000"), failures: 2 })],
      [named("fpm", { pid: 7 })],
      [named("fpm", { pid: 6 })],
    );
    assert.deepEqual(others, []);
    assert.deepEqual(server, {
      ...named("fpm", { pid: 5, local }),
      processes: 3,
      failures: 5,
    });
  });

  it("of one process has no number of processes, and the last of its sockets", () => {
    const [one] = listOf([party({ socket_cookie: "1" })], [party({ socket_cookie: "2" })]);
    assert.deepEqual(one, party({ socket_cookie: "2", failures: 2 }));
  });

  const others: readonly [what: string, other: Party][] = [
    ["role", party({ role: "holder" })],
    ["program", named("curl", { pid: 2 })],
    ["user", named("crawler", { uid: 33, pid: 2 })],
    ["cgroup", named("crawler", { pid: 2, cgroup: { id: "9", path: "/b" } })],
    ["cgroup of another hierarchy", named("crawler", { pid: 2, cgroup: { id: "1", path: "/b" } })],
    ["network namespace", named("crawler", { pid: 2, netns: { cookie: "78", inum: 7 } })],
    ["network namespace, even of one process", party({ netns: { cookie: "78", inum: 7 } })],
    ["user, even of one process id", named("crawler", { uid: 33, pid: PROCESS.pid })],
  ];
  for (const [what, other] of others) {
    it(`of another ${what} is another`, () => {
      const cgroup = what.startsWith("cgroup of")
        ? { id: "1", path: "/a" }
        : { id: "8", path: "/a" };
      const own = other.cgroup === undefined ? party() : party({ cgroup });
      const list = listOf([own, other], [own]);
      assert.deepEqual(
        list.map(({ failures, processes }) => [failures, processes]),
        [
          [2, undefined],
          [1, undefined],
        ],
      );
    });
  }

  it("is one process, whatever its threads are called", () => {
    const names = ["http-1", "http-2", "http-3"];
    const [one, ...rest] = listOf(...names.map((comm) => [named(comm, { pid: 5 })]));
    assert.deepEqual(rest, []);
    assert.deepEqual(one, named("http-1", { pid: 5, failures: 3 }));
  });

  it("without a process is its addresses", () => {
    const unknown = (address: string) => ({
      role: "holder",
      local: endpoint(address),
      netns: NETNS,
    });
    const list = listOf([unknown("10.0.0.1:5")], [unknown("10.0.0.1:6"), unknown("10.0.0.2:5")]);
    assert.deepEqual(
      list.map(({ local }) => local),
      [endpoint("10.0.0.1:6"), endpoint("10.0.0.2:5")],
    );
  });

  it("has the ports of all its processes, as they were counted last", () => {
    const workers = (...ports: number[]) =>
      ports.map((held, index) =>
        party({ role: "holder", process: { pid: 5 + index, comm: "fpm" }, ports: held }),
      );
    const [first] = listOf(workers(10, 20, 30));
    assert.deepEqual([first?.ports, first?.processes], [60, 3]);
    const [later] = listOf(workers(10, 20, 30), workers(4, 5));
    assert.deepEqual([later?.ports, later?.processes], [9, 3]);
  });

  it("remembers a bounded number of processes", () => {
    const many = Array.from({ length: 500 }, (_, index) => [named("fpm", { pid: index + 1 })]);
    const [one] = listOf(...many);
    assert.deepEqual([one?.processes, one?.failures, one?.process?.pid], [64, 500, 1]);
    assert.equal(partyText(one, "?"), "fpm (64 or more processes)");
  });

  it("learns the names of its cgroup and namespace later", () => {
    const early = party({ cgroup: { id: "9" } });
    const [one] = listOf(
      [early],
      [party({ cgroup: { id: "9", path: "/a" }, netns: { ...NETNS, name: "x" } })],
    );
    assert.deepEqual(
      [one?.cgroup, one?.netns],
      [
        { id: "9", path: "/a" },
        { ...NETNS, name: "x" },
      ],
    );
  });
});

describe("the list of parties", () => {
  const flood = (count: number, more: object = {}) =>
    Array.from({ length: count }, (_, index) => [
      named(`victim ${index}`, { pid: 100 + index, ...more }),
    ]);

  it("has the holder, the winner and the cause, however many victims there are", () => {
    const last = ["holder", "winner", "time_wait"].map((role) => [party({ role, failures: 0 })]);
    for (const order of [
      [...flood(500), ...last],
      [...last, ...flood(500)],
    ]) {
      const list = listOf(...order);
      assert.equal(list.length, 8);
      const roles = list.map(({ role }) => role);
      assert.equal(roles.filter((role) => role === "failed").length, 5);
      assert.deepEqual(new Set(roles), new Set(["failed", "holder", "winner", "time_wait"]));
    }
  });

  it("has two of each role where there are two", () => {
    const holders = ["a", "b", "c"].map((comm, pid) =>
      named(comm, { role: "holder", uid: 0, pid: 10 + pid }),
    );
    const list = listOf(holders, ...flood(50, { failures: 99 }));
    const count = (wanted: string) => list.filter(({ role }) => role === wanted).length;
    assert.deepEqual([count("holder") >= 2, count("failed") >= 2, list.length], [true, true, 8]);
  });

  it("has each role once before any has two", () => {
    const roles = ["a", "b", "c", "d", "e", "f"];
    const list = listOf(
      roles.flatMap((role) => [named("x", { role }), named("y", { role, pid: 2 })]),
    );
    assert.deepEqual([...new Set(list.map(({ role }) => role))], roles);
    assert.equal(list.length, 8);
  });

  it("has those with most failures first, then those with most ports, by role", () => {
    const list = listOf(
      [named("few", { pid: 1 }), named("some", { role: "holder", pid: 2, ports: 5, failures: 0 })],
      [named("most", { pid: 3, failures: 7 })],
      [named("many", { role: "holder", pid: 4, ports: 50, failures: 0 })],
    );
    assert.deepEqual(
      list.map(({ process }) => process?.comm),
      ["most", "few", "many", "some"],
    );
  });

  it("has who turns out to have most, though it came after a hundred others", () => {
    const late = named("late", { pid: 7000 });
    const mixed = flood(200).flatMap((one, index) => (index < 100 ? [one] : [one, [late]]));
    const [first] = listOf(...mixed);
    assert.deepEqual([first?.process?.comm, first?.failures], ["late", 100]);
  });

  it("has another user's and another container's, whoever floods it", () => {
    const mine = named("mine", { uid: 33 });
    const container = { id: "50", path: "/kubepods/pod1/c1", container: "5e".repeat(32) };
    const users = flood(300).map(([one], index) => [
      {
        ...(one as Party),
        process: { ...one?.process, uid: 10_000 + index },
        cgroup: container,
        failures: 5,
      },
    ]);
    for (const others of [flood(300, { failures: 5 }), users]) {
      for (const order of [
        [[mine], ...others],
        [...others, [mine]],
      ]) {
        const list = listOf(...order);
        assert.ok(list.some(({ process }) => process?.uid === 33));
        assert.equal(list.length, 8);
      }
    }
  });

  it("takes over what another finding remembered", () => {
    const [one, other] = [new DistinctParties(), new DistinctParties()];
    one.add([named("fpm", { pid: 5 })]);
    other.add([named("fpm", { pid: 5 }), named("curl", { pid: 9 })]);
    other.add([named("fpm", { pid: 6 })]);
    one.absorb(other);
    assert.deepEqual(
      one.list.map(({ process, processes, failures }) => [process?.comm, processes, failures]),
      [
        ["fpm", 2, 3],
        ["curl", undefined, 1],
      ],
    );
  });
});

describe("who is blamed", () => {
  const fpm = party({ process: { pid: 5, comm: "fpm" }, processes: 7, failures: 9 });

  it("is the one with most failures, else ports, of its role", () => {
    const parties = [party(), fpm, party({ role: "holder", failures: 50 })];
    assert.equal(most(parties, "failed"), fpm);
    const holders = [party({ role: "holder", ports: 2 }), party({ role: "holder", ports: 3 })];
    assert.equal(most(holders, "holder"), holders[1]);
    assert.equal(most(parties, "winner"), undefined);
  });

  it("is told by its process, or by how many, and whether there are others", () => {
    assert.equal(partyText(party(), "?"), "crawler (pid 812)");
    assert.equal(partyText(fpm, "?"), "fpm (7 processes)");
    assert.equal(partyText(party({ process: { uid: 0 } }), "a process"), "a process");
    assert.equal(partyText(undefined, "a process"), "a process");
    assert.equal(blamedText([party(), fpm], "failed", "?"), "fpm (7 processes) and others");
    assert.equal(blamedText([fpm, party({ role: "holder" })], "failed", "?"), "fpm (7 processes)");
    assert.equal(blamedText([fpm, party({ failures: 0 })], "failed", "?"), "fpm (7 processes)");
  });

  it("in a summary is not whoever came last", () => {
    const scene = new Scene();
    const noPort = (process: object) => connectFields({ result: "EADDRNOTAVAIL", process });
    for (const pid of [5, 6, 7]) scene.take("connect", noPort({ pid, comm: "fpm", uid: 33 }));
    scene.take("connect", noPort({ pid: 9, comm: "curl", uid: 0 }));
    assert.match(scene.only.summary, /^fpm \(3 processes\) and others found no free local port/);
  });

  it("of a race has the address of the flow that was refused where its process is not known", () => {
    const scene = new Scene();
    const refused = (src: string) => ({
      attribution: "none",
      protocol: "tcp",
      original: { src: endpoint(src), dst: endpoint("10.77.3.2:5355") },
      reply: { src: endpoint("10.77.3.2:5355"), dst: endpoint(`10.77.3.1:${endpoint(src).port}`) },
      nat: "snat",
      zone: 0,
      verdict: "dropped",
      cause: "clash",
    });
    for (const port of [6001, 6002]) {
      scene.take("conntrack_insert_failed", refused(`10.77.1.2:${port}`));
    }
    scene.take("conntrack_insert_failed", refused("10.77.1.9:6003"));
    assert.match(
      scene.only.summary,
      /^3 TCP packets of 10\.77\.1\.2 and others to 10\.77\.3\.2:5355 /,
    );
  });
});
