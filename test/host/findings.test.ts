import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { FINDING_KINDS, SEVERITIES } from "../../src/events/finding-kinds.ts";
import type { FindingJson } from "../../src/findings/finding.ts";
import { getFindings, getStatus } from "../support/api.ts";
import { suiteDaemon } from "../support/commands.ts";
import type { Attempts } from "../support/connects.ts";
import type { ParsedEvent } from "../support/events.ts";
import { eventsOf, metric } from "../support/feed.ts";
import { Netns } from "../support/netns.ts";
import { until } from "../support/until.ts";

const QUIET_SECONDS = 6;

const RANGE = "net.ipv4.ip_local_port_range";

/** The engine's second, and some for a busy machine. */
const SETTLE_MS = 1600;

/** An even number: of an odd one __inet_hash_connect() leaves a port out, as its offset falls. */
const SIX_PORTS = "30000\t30005";

function lastOf(told: readonly ParsedEvent[], { id }: FindingJson): ParsedEvent | undefined {
  return told.filter((one) => one.id === id).at(-1);
}

describe("findings", () => {
  const daemon = suiteDaemon(["--finding-quiet-seconds", String(QUIET_SECONDS)]);
  let netns: Netns;
  /** Before the test: its namespace may have the inode number of one that is gone. */
  let since: string;

  beforeEach(async () => {
    since = String((await getStatus(daemon.url)).journal.next_seq - 1);
    netns = new Netns();
  });
  afterEach(() => netns.delete());

  function read(query = "state=all"): Promise<readonly FindingJson[]> {
    return getFindings(daemon.url, query);
  }

  /** Those of the test's own namespace. */
  async function mine(): Promise<FindingJson[]> {
    return (await read()).filter(
      ({ netns: where, evidence: [first = 0] }) =>
        where?.inum === netns.inum && first > Number(since),
    );
  }

  async function settled(): Promise<FindingJson[]> {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    return mine();
  }

  /** The only finding, after checks that hold for all kinds. */
  async function only(kind: FindingJson["kind"]): Promise<FindingJson> {
    await until(async () => (await mine()).length > 0, "a finding");
    await settled();
    let finding: FindingJson | undefined;
    await until(async () => {
      const told = await eventsOf(daemon.url, 1, { type: "finding", since });
      [finding] = await mine();
      return finding !== undefined && finding.count === lastOf(told, finding)?.count;
    }, "the stream tells of it as it is");
    assert.ok(finding);
    assert.equal((await mine()).length, 1);
    assert.equal(finding.kind, kind);
    assert.ok(daemon.stderr().includes(`"finding":"${finding.id}"`), "so did the log");
    return finding;
  }

  function made(...args: string[]): Attempts {
    const lines = netns
      .exec("python3", "test/faults/connects.py", ...args)
      .trim()
      .split("\n");
    return JSON.parse(lines.at(-1) ?? "") as Attempts;
  }

  async function seqs(query: Record<string, string>): Promise<unknown[]> {
    const where = { since, netns: String(netns.inum) };
    const events = await eventsOf(daemon.url, 1, { ...where, ...query });
    return events.map(({ seq }) => seq);
  }

  test("12 TCP connects over 6 ports: local_port_exhaustion, 6 times", async () => {
    netns.sysctl("net.ipv4.ip_local_port_range", SIX_PORTS);
    const { pid } = made("exhausted", "12");
    const finding = await only("local_port_exhaustion");
    assert.equal(finding.consequence.failed_connects, 6);
    assert.deepEqual(finding.evidence, await seqs({ result: "EADDRNOTAVAIL" }));
    const [failed] = finding.parties;
    assert.deepEqual([failed?.role, failed?.process?.pid], ["failed", pid]);
    assert.match(finding.summary, /for TCP to 127\.0\.0\.1:4500: connect\(\) failed 6 times/);
    runCommands(finding);
  });

  test("12 UDP connects over 6 ports: local_port_exhaustion, 6 times", async () => {
    netns.sysctl("net.ipv4.ip_local_port_range", SIX_PORTS);
    made("udp_exhausted", "12");
    const finding = await only("local_port_exhaustion");
    assert.equal(finding.count, 6);
    assert.deepEqual(finding.evidence, await seqs({ result: "EAGAIN" }));
    runCommands(finding);
  });

  /** Findings while a fault holds what it took, and its process id. */
  async function whileHeld(
    expected: number,
    ...args: string[]
  ): Promise<{ pid: number; found: FindingJson[] }> {
    const { made, end } = await netns.faultHeld<Attempts>("connects.py", ...args);
    try {
      await until(async () => (await seqs({ type: "connect" })).length > 0, "it connects");
      await until(async () => (await mine()).length >= expected, "the finding");
      return { pid: made.pid, found: await settled() };
    } finally {
      await end();
    }
  }

  test("who holds the ports is counted", async () => {
    netns.sysctl("net.ipv4.ip_local_port_range", SIX_PORTS);
    const { pid, found } = await whileHeld(1, "exhausted_held", "9");
    const [finding] = found;
    assert.ok(finding);
    const used = `6 of the 6 ports 30000-30005 were taken towards it, 6 of them opened by python3 (pid ${pid}).`;
    assert.ok(finding.summary.endsWith(used), finding.summary);
    assert.equal(finding.confidence.level, "high");
    assert.deepEqual(
      finding.parties.map(({ role, process, ports }) => [role, process?.pid, ports]),
      [
        ["failed", pid, undefined],
        ["holder", pid, 6],
      ],
    );
    assert.equal(found.length, 1);
  });

  test("96 of 100 ports bound before connect: port_locked_by_bind", async () => {
    netns.sysctl("net.ipv4.ip_local_port_range", "30000\t30099");
    const { pid, found } = await whileHeld(1, "bind_before_connect_held", "96");
    assert.deepEqual(
      found.map(({ kind }) => kind),
      ["port_locked_by_bind"],
    );
    const [finding] = found;
    const { consequence, parties } = finding as FindingJson;
    assert.deepEqual(consequence, { ports_locked: 96, ports_in_use: 96, ports_in_range: 100 });
    assert.deepEqual([parties[0]?.role, parties[0]?.process?.pid], ["binder", pid]);
    runInC(finding?.remedies[0]?.snippets?.[0] ?? "");
  });

  test("the same with IP_BIND_ADDRESS_NO_PORT, and with room in the range: no finding", async () => {
    netns.sysctl("net.ipv4.ip_local_port_range", "30000\t30099");
    const full = await whileHeld(0, "bind_address_no_port_held", "96");
    // All of them lead to one destination, which a count of the ports may have warned of by now.
    const others = full.found.filter(({ kind }) => kind !== "local_ports_low");
    assert.deepEqual(others, []);
    netns.sysctl("net.ipv4.ip_local_port_range", "30000\t30999");
    const roomy = await whileHeld(0, "bind_before_connect_held", "96");
    assert.deepEqual(roomy.found, []);
  });

  test("two processes on one UDP 4-tuple: udp_overshadowing with both", async () => {
    const { pid } = made("udp_pair_of_two", "3");
    const finding = await only("udp_overshadowing");
    assert.equal(finding.count, 3);
    assert.equal(finding.severity, "warning");
    const [older, newer] = finding.parties;
    assert.deepEqual([older?.role, older?.process?.pid], ["overshadowed", pid]);
    assert.equal(newer?.role, "receiver");
    assert.notEqual(newer?.process?.pid, pid);
    runCommands(finding);
  });

  test("UDP sockets of one process that the kernel gave one port: udp_overshadowing", async () => {
    netns.sysctl("net.ipv4.ip_local_port_range", "30000\t30031");
    const { attempts } = made("udp_shared", "48");
    const finding = await only("udp_overshadowing");
    const ports = new Set(attempts.map(({ local: [, port] }) => port));
    assert.equal(finding.count, 48 - ports.size);
    assert.equal(finding.severity, "warning");
    runCommands(finding);
  });

  test("TCP sockets that connected to themselves: self_connect", async () => {
    netns.sysctl("net.ipv4.ip_local_port_range", "30000\t30007");
    const { pid } = made("self_connect_chosen", "2");
    const finding = await only("self_connect");
    assert.equal(finding.count, 2);
    assert.deepEqual(
      finding.parties.map(({ role, process }) => [role, process?.pid]),
      [["client", pid]],
    );
    runCommands(finding);
  });

  test("2 of 6 TCP connects without a NAT port: nat_insert_race", async () => {
    const { pid } = netns.fault<{ pid: number }>("snat_race.py", "tcp", "6");
    const finding = await only("nat_insert_race");
    assert.equal(finding.consequence.lost_packets, 2);
    assert.deepEqual(finding.evidence, await seqs({ type: "conntrack_insert_failed" }));
    assert.equal(finding.parties[0]?.process?.pid, pid);
    assert.equal(finding.confidence.level, "medium");
    runCommands(finding);
  });

  test("24 UDP flows onto one NAT port: nat_ports_exhausted, 23 packets", async () => {
    netns.fault("snat_race.py", "udp", "24");
    const finding = await only("nat_ports_exhausted");
    assert.equal(finding.consequence.lost_packets, 23);
    assert.equal(finding.evidence_count, 23);
    const all = await seqs({ type: "conntrack_insert_failed" });
    assert.deepEqual(finding.evidence, [...all.slice(0, 5), ...all.slice(-15)]);
    assert.match(finding.summary, /no source port left on 127\.0\.0\.1 towards 127\.0\.0\.2:5353/);
    runCommands(finding);
  });

  test("a SYN on an established connection and a reset: four_tuple_collision", async () => {
    const steps = ["vanish:syn", "close:syn", "rst+syn", "close:", "reset:"];
    const [vanished] = netns.fault<{ pid: number; server: [string, number] }[]>(
      "challenge.py",
      ...steps,
    );
    const finding = await only("four_tuple_collision");
    assert.equal(finding.count, 1);
    assert.deepEqual(finding.consequence, { resets: 1, challenged_syns: 1 });
    const [reset] = finding.parties;
    assert.equal(reset?.process?.pid, vanished?.pid);
    assert.equal(reset?.local?.port, vanished?.server[1]);
    const outcomes = await seqs({ type: "challenge_outcome" });
    assert.ok(outcomes.includes(finding.evidence.at(-1)));
  });

  test("a fixed port whose 4-tuple is taken: source_tuple_taken", async () => {
    const { pid } = made("bound_port_taken", "12");
    const finding = await only("source_tuple_taken");
    assert.equal(finding.consequence.failed_connects, 12);
    assert.deepEqual(finding.evidence, await seqs({ result: "EADDRNOTAVAIL" }));
    assert.deepEqual(
      finding.parties.map(({ role, process }) => [role, process?.pid]),
      [
        ["failed", pid],
        ["holder", pid],
      ],
    );
    runCommands(finding);
  });

  test("clean traffic, and faults of other kinds: no finding", async () => {
    const kinds = ["ok", "ipv6", "refused", "no_route", "udp_no_route", "udp_ok", "nonblocking"];
    const bound = ["bind_before_connect", "bind_address_no_port", "bound_port", "reuseaddr"];
    const shared = ["udp_shared_closed", "udp_shared_peers", "udp_shared_again"];
    const odd = ["reconnect_udp", "canceled", ...shared];
    made(...[...kinds, ...bound, ...odd].flatMap((kind) => [kind, "60"]));
    const script = `import socket
s = socket.socket(socket.AF_INET6)
try: s.connect(("2001:db8::1", 80))
except OSError as error: print(error.errno)`;
    netns.exec("python3", "-c", script);
    netns.fault("snat_race.py", "firewall", "10");
    assert.deepEqual(await settled(), []);
  });

  test("a finding closes when it is quiet: on the stream, in the log and in the metrics", async () => {
    const [finding] = await read("state=all&kind=nat_ports_exhausted");
    assert.ok(finding);
    const isClosed = async () => (await read("state=active")).length === 0;
    await until(isClosed, "all are closed", 2 * QUIET_SECONDS * 1000);
    const [closed] = await read("state=closed&kind=nat_ports_exhausted");
    assert.deepEqual([closed?.id, closed?.close_reason], [finding.id, "quiet"]);
    assert.ok(
      (await read("")).some(({ id }) => id === finding.id),
      "of the last hour",
    );
    const told = await eventsOf(daemon.url, 1, { type: "finding" });
    assert.ok(told.some(({ id, state }) => id === finding.id && state === "closed"));
    assert.match(daemon.stderr(), new RegExp(`"finding":"${finding.id}".*"finding closed: `));
    const total = await metric(daemon.url, "tuplewatch_findings_total");
    const active = await metric(daemon.url, "tuplewatch_finding_active");
    assert.equal(total.get('{kind="nat_ports_exhausted"}'), 1);
    const ids = told.flatMap(({ kind, id }) => (kind === "local_port_exhaustion" ? [id] : []));
    assert.equal(total.get('{kind="local_port_exhaustion"}'), new Set(ids).size);
    assert.equal(total.get('{kind="conntrack_table_full"}'), 0);
    assert.deepEqual([...active.values()], Array(active.size).fill(0));
    assert.equal(active.size, FINDING_KINDS.length * SEVERITIES.length);
  });

  test("a wrong question is answered with 400 and what is known", async () => {
    for (const [query, message] of [
      ["kindd=x", /unknown query key "kindd"; did you mean kind\?/],
      ["kind=collision", /kind: invalid value "collision", expected one of four_tuple_collision/],
      ["state=open", /state: invalid value "open", expected one of active, closed, all/],
    ] as const) {
      const response = await fetch(`${daemon.url}/findings?${query}`);
      assert.equal(response.status, 400);
      assert.match(await response.text().then((text) => JSON.parse(text).error.message), message);
    }
  });

  /** The line for C sets the option; test/scenarios/remedies.test.ts runs that for Python. */
  function runInC(line: string): void {
    const folder = mkdtempSync(join(tmpdir(), "tuplewatch-snippet-"));
    const source = `#include <netinet/in.h>
      #include <sys/socket.h>
      int main(void) {
        int fd = socket(AF_INET, SOCK_STREAM, 0), value = 0;
        socklen_t length = sizeof(value);
        ${line}
        getsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &value, &length);
        return value != 1;
      }`;
    const compile = ["-Wall", "-Werror", "-x", "c", "-", "-o", "snippet"];
    try {
      execFileSync("gcc", compile, { input: source, cwd: folder });
      execFileSync("./snippet", { cwd: folder, stdio: "pipe" });
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  /** Each as it is, by a shell of this machine: it is for the finding's namespace and no other. */
  function runCommands({ remedies }: FindingJson): void {
    const rules = () => execFileSync("nft", ["list", "ruleset"], { encoding: "utf8" });
    const range = () => execFileSync("sysctl", ["-n", RANGE], { encoding: "utf8" });
    const before = [rules(), range()];
    const commands = remedies.filter(({ where }) => where === undefined).flatMap((r) => r.commands);
    assert.ok(commands.length > 0);
    for (const command of commands) {
      assert.ok(command.startsWith(`ip netns exec ${netns.name} `), command);
      execFileSync("sh", ["-c", command], { stdio: "pipe" }); // throws if it fails, with what it wrote
    }
    assert.deepEqual([rules(), range()], before, "this machine's own");
  }
});
