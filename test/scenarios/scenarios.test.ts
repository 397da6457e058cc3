import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { FindingJson } from "../../src/findings/finding.ts";
import { getFindings } from "../support/api.ts";
import { type DaemonProcess, suiteDaemon } from "../support/commands.ts";
import type { ParsedEvent } from "../support/events.ts";
import { until } from "../support/until.ts";
import { SCENARIOS, type ScenarioName } from "./catalog.ts";
import { type Incident, observe } from "./incident.ts";
import type { Played } from "./play.ts";

/** All scenarios on an emulated machine. */
const LIMIT_MS = 1_200_000;

/** For a finding that did not come: what it could have been made of. */
const CAUSES = ["challenge_ack", "challenge_outcome", "conntrack_insert_failed", "flow_retry"];

/** Of the server of B1; a DNS resolver connects elsewhere. */
const WEB_PORT = "8080";

let daemon: DaemonProcess;

interface Seen {
  readonly played: Played;
  /** All findings that opened while it ran, as they are at its end. */
  readonly findings: readonly FindingJson[];
  /** How often each connect of its containers to the web server sent its SYN again. */
  readonly retransmits: readonly unknown[];
}

/** Plays a scenario; fails unless the findings that open are those of the catalog, one each. */
async function watch(
  name: ScenarioName,
  isComplete: (finding: FindingJson) => boolean = () => true,
): Promise<Seen> {
  const scenario = SCENARIOS[name];
  return observe(daemon.url, scenario, async (incident) => {
    const { played, opened } = incident;
    assert.deepEqual(
      opened.map(({ kind }) => kind),
      scenario.findings,
      JSON.stringify({ opened: opened.map(({ summary }) => summary), ...(await causes(incident)) }),
    );
    const ids = opened.map(({ id }) => id);
    let findings = await listed(ids);
    await until(async () => {
      findings = await listed(ids);
      return findings.every(isComplete);
    }, "the findings are complete");
    for (const finding of findings) await checkEvidence(finding, incident);
    return { played, findings, retransmits: await retransmits(incident) };
  });
}

async function causes({ played, events }: Incident): Promise<object> {
  const ofTypes = await Promise.all(CAUSES.map((type) => events({ type })));
  return { played, events: ofTypes.flat().slice(-20) };
}

async function listed(ids: readonly string[]): Promise<readonly FindingJson[]> {
  return (await getFindings(daemon.url, "state=all")).filter(({ id }) => ids.includes(id));
}

/** A finding rests on events of its own scenario, one of which at least names one of its parties. */
async function checkEvidence(finding: FindingJson, { event }: Incident): Promise<void> {
  // What rests on a count of ports has none.
  if (finding.evidence_count === 0) return;
  const events = await Promise.all(finding.evidence.map(event));
  const pidsIn = events.map(({ process }) => (process as { pid?: number } | undefined)?.pid);
  const named = allPids(finding);
  const text = JSON.stringify({ finding, events });
  assert.ok(
    pidsIn.some((pid) => pid !== undefined && named.has(pid)),
    text,
  );
  assert.ok(
    events.every(({ type }) => type !== "finding"),
    text,
  );
}

async function retransmits({ played, events }: Incident): Promise<readonly unknown[]> {
  const pids = (played.pids ?? []) as number[];
  const ofEach = await Promise.all(
    pids.map((pid) => events({ type: "connect", pid: String(pid), port: WEB_PORT })),
  );
  return ofEach.flat().map(({ syn_retransmits }: ParsedEvent) => syn_retransmits);
}

function only({ findings }: Seen): FindingJson {
  assert.equal(findings.length, 1);
  const [finding] = findings;
  assert.ok(finding !== undefined);
  assert.equal(finding.state, "active");
  return finding;
}

function pids(finding: FindingJson, ...roles: string[]): (number | undefined)[] {
  return roles.map((role) => finding.parties.find((party) => party.role === role)?.process?.pid);
}

function allPids({ parties }: FindingJson): Set<number | undefined> {
  return new Set(parties.map(({ process }) => process?.pid));
}

function remedyText({ remedies }: FindingJson): string {
  return remedies.flatMap(({ summary, commands }) => [summary, ...commands]).join("\n");
}

function longest({ played }: Seen): number {
  return Math.max(...(played.seconds as number[]));
}

/** It waited for so long at least, and no longer than its process did. */
function checkDelay({ consequence }: FindingJson, seen: Seen, atLeastSeconds: number): void {
  const delay = consequence.delay_seconds_max ?? Number.NaN;
  const text = `${delay} s of ${longest(seen)} s`;
  assert.ok(delay >= atLeastSeconds && delay <= longest(seen) + 0.01, text);
}

describe("scenarios", () => {
  daemon = suiteDaemon([], { timeoutMs: LIMIT_MS });

  test("A: the SYN of a second client resets an established connection", async () => {
    const seen = await watch("A");
    const finding = only(seen);
    const { played } = seen;
    const [address, port] = played.local as [string, number];
    const [peerAddress, peerPort] = played.peer as [string, number];
    assert.equal(played.fate, "reset");
    assert.deepEqual(pids(finding, "reset"), [played.pid]);
    assert.equal(finding.count, 1);
    assert.equal(finding.consequence.resets, 1);
    assert.deepEqual(finding.tuples, [
      {
        protocol: "tcp",
        local: { address, port },
        peer: { address: peerAddress, port: peerPort },
      },
    ]);
    assert.match(finding.summary, new RegExp(`${peerAddress}:${peerPort}`));
    assert.match(remedyText(finding), /cross_zone/);
  });

  test("B1: two containers are masqueraded to one port, and one waits for its SYN's retransmit", async () => {
    const seen = await watch("B1");
    const finding = only(seen);
    assert.deepEqual(seen.retransmits.toSorted(), [0, 1]);
    assert.deepEqual(allPids(finding), new Set(seen.played.pids as number[]));
    assert.equal(finding.count, 1);
    assert.equal(finding.consequence.lost_packets, 1);
    assert.equal(finding.consequence.delayed_flows, 1);
    checkDelay(finding, seen, 0.9);
    assert.match(remedyText(finding), /10\.9\.0\.1 --random-fully/);
  });

  test("B1 with --random-fully has none", async () => {
    const { retransmits } = await watch("B1-random");
    assert.deepEqual(retransmits, [0, 0]);
  });

  test("B2: a DNS request is lost, and its resolver asks again later", async () => {
    const seen = await watch("B2");
    const finding = only(seen);
    assert.match(finding.summary, /^1 DNS request of box[12] /);
    assert.deepEqual(allPids(finding), new Set(seen.played.pids as number[]));
    checkDelay(finding, seen, 1.1);
    assert.match(remedyText(finding), /cache/);
  });

  test("B2 from one socket is resolved by the kernel: no finding", async () => {
    const { played } = await watch("B2-socket");
    assert.equal(played.answers, 2);
  });

  test("B3: a connection that finds none of four NAT ports free, twice", async () => {
    const seen = await watch("B3");
    const finding = only(seen);
    const { played } = seen;
    assert.deepEqual([played.taken, played.result], [["ok", "ok", "ok", "ok"], "timeout"]);
    assert.deepEqual(pids(finding, "refused"), [played.pid]);
    assert.match(finding.summary, /no source port left on 10\.9\.0\.1 towards 10\.9\.0\.2:8080/);
  });

  test("C1: 200 ports for 1,000 connects to one destination", async () => {
    // Who holds the ports is counted when a finding opens, and takes its time on such a machine.
    const counted = ({ consequence }: FindingJson) => consequence.ports_in_use !== undefined;
    const seen = await watch("C1", counted);
    const finding = only(seen);
    assert.equal(finding.count, 800);
    assert.equal(finding.consequence.failed_connects, 800);
    assert.equal(finding.consequence.ports_in_range, 200);
    assert.equal(finding.consequence.ports_in_use, 200);
    assert.deepEqual(pids(finding, "failed", "holder"), [seen.played.pid, seen.played.pid]);
    assert.equal(finding.parties.find(({ role }) => role === "holder")?.ports, 200);
    assert.match(finding.summary, /127\.0\.0\.1:9000/);
    assert.match(remedyText(finding), /ip_local_port_range/);
  });

  test("C2: bind() before connect() locks each port for one connection", async () => {
    const seen = await watch("C2");
    const finding = only(seen);
    assert.deepEqual(pids(finding, "binder"), [seen.played.pid]);
    assert.match(finding.summary, /crawler/);
    assert.match(remedyText(finding), /IP_BIND_ADDRESS_NO_PORT/);
  });

  test("C3: with IP_BIND_ADDRESS_NO_PORT there is none", async () => {
    const { played } = await watch("C3");
    assert.deepEqual(played.results, { ok: 300 });
  });

  test("C4: 200 ports for 300 UDP sockets that send", async () => {
    const counted = ({ consequence }: FindingJson) => consequence.ports_in_use !== undefined;
    const seen = await watch("C4", counted);
    const finding = only(seen);
    assert.deepEqual(seen.played.results, { ok: 200, EAGAIN: 100 });
    assert.equal(finding.count, 100);
    assert.equal(finding.consequence.failed_sends, 100);
    assert.equal(finding.consequence.ports_in_use, 200);
    assert.deepEqual(pids(finding, "failed", "holder"), [seen.played.pid, seen.played.pid]);
    assert.match(remedyText(finding), /ip_local_port_range/);
  });

  test("C4 by one socket has none", async () => {
    const { played } = await watch("C4-one");
    assert.deepEqual(played.results, { ok: 300 });
  });

  test("C-low: 120 of 200 ports are taken towards one destination, and no call fails", async () => {
    const seen = await watch("C-low");
    const finding = only(seen);
    assert.deepEqual(seen.played.results, { ok: 120 });
    assert.equal(finding.severity, "warning");
    assert.deepEqual(finding.consequence, { ports_in_use: 120, ports_in_range: 200 });
    assert.deepEqual(pids(finding, "holder"), [seen.played.pid]);
    assert.match(finding.summary, /127\.0\.0\.1:9000 .*120 ESTABLISHED/);
    assert.match(remedyText(finding), /ip_local_port_range/);
  });

  test("C-waiting: the same in TIME_WAIT, opened by a process that the ledger knows", async () => {
    const seen = await watch("C-waiting");
    const finding = only(seen);
    assert.deepEqual(seen.played.results, { ok: 120 });
    // On a slow machine the first of them are over when they are counted, or the last not yet there
    // when the ledger is read, which comes before the list of sockets.
    const pattern = /\((1[0-2]\d) TIME-WAIT\), (\d+) of them opened by crawler/;
    const [waiting = 0, opened = 0] = (pattern.exec(finding.summary) ?? []).slice(1).map(Number);
    assert.ok(opened <= waiting && opened > waiting - 20, finding.summary);
    assert.match(remedyText(finding), /tcp_tw_reuse=1/);
  });

  test("D: the newer of two UDP sockets gets the older one's answers", async () => {
    const seen = await watch("D");
    const finding = only(seen);
    const { played } = seen;
    assert.deepEqual([played.answer, played.stolen], [null, "second"]);
    assert.deepEqual(allPids(finding), new Set([played.older_pid, played.newer_pid]));
    assert.match(finding.summary, /10\.5\.0\.1:7000/);
  });

  test("D with a port for each socket, or without SO_REUSEADDR, has none", async () => {
    const own = await watch("D-own-port");
    assert.deepEqual(
      [own.played.outcome, own.played.answer, own.played.stolen],
      ["connected", "second", null],
    );
    const exclusive = await watch("D-exclusive");
    assert.deepEqual([exclusive.played.outcome, exclusive.played.answer], ["EADDRINUSE", "second"]);
  });

  test("D-kernel: the kernel gives sockets of one process one port", async () => {
    const seen = await watch("D-kernel");
    const finding = only(seen);
    const { played } = seen;
    assert.ok(Number(played.shared) > 0);
    assert.equal(finding.count, played.shared);
    assert.equal(finding.severity, "warning");
    assert.deepEqual(allPids(finding), new Set([played.pid]));
    assert.match(finding.summary, /10\.5\.0\.2:7001/);
  });

  test("self: a client of a closed port connects to itself", async () => {
    const counted = ({ consequence }: FindingJson) => consequence.ports_in_range !== undefined;
    const seen = await watch("self", counted);
    const finding = only(seen);
    assert.deepEqual([seen.played.itself, seen.played.heard], [true, "hello"]);
    assert.deepEqual(pids(finding, "client"), [seen.played.pid]);
    assert.match(finding.summary, /127\.0\.0\.1:20004/);
    assert.match(remedyText(finding), /ip_local_reserved_ports=9000-9001,20004$/m);
  });

  test("self with a service that listens, or with the port at another address, has none", async () => {
    for (const name of ["self-listening", "self-address"] as const) {
      const { played } = await watch(name);
      assert.deepEqual([played.tries, played.itself], [1, false], name);
    }
  });

  test("stolen: a service cannot bind the port of an outgoing connection", async () => {
    const seen = await watch("stolen");
    const finding = only(seen);
    const { played } = seen;
    assert.deepEqual(played.results, ["EADDRINUSE", "EADDRINUSE", "EADDRINUSE"]);
    assert.deepEqual(pids(finding, "failed"), [played.pid]);
    assert.deepEqual(pids(finding, "holder"), [played.holder_pid]);
    assert.match(
      finding.summary,
      /TCP port 10254: .* connection of apiserver .* to 127\.0\.0\.1:2379/,
    );
    assert.match(remedyText(finding), /ip_local_reserved_ports=9000-9001,10254$/m);
  });

  test("stolen by another service that asked for it has none", async () => {
    const { played } = await watch("stolen-service");
    assert.deepEqual(played.results, ["EADDRINUSE", "EADDRINUSE", "EADDRINUSE"]);
  });

  test("tuple: a connection from a fixed port that another process has, or that waits", async () => {
    for (const name of ["tuple", "tuple-waiting"] as const) {
      const seen = await watch(name);
      const finding = only(seen);
      const { played } = seen;
      assert.deepEqual(played.results, ["EADDRNOTAVAIL"], name);
      assert.deepEqual(pids(finding, "failed"), [played.pid]);
      assert.deepEqual(pids(finding, "holder"), [played.holder_pid]);
      assert.equal(/TIME_WAIT/.test(finding.summary), name === "tuple-waiting", finding.summary);
    }
  });

  test("tuple that gives way in TIME_WAIT has none", async () => {
    assert.deepEqual((await watch("tuple-free")).played.results, ["ok"]);
  });

  test("E: a released port leads the sidecar's question back to the sidecar", async () => {
    const seen = await watch("E");
    const finding = only(seen);
    const { played } = seen;
    assert.deepEqual([played.answer, played.looped], [null, "proxy"]);
    assert.deepEqual(allPids(finding), new Set([played.sidecar_pid, played.app_pid]));
    assert.match(remedyText(finding), /uid-owner 1337 .*(NOTRACK|notrack)/);
  });

  test("E with NOTRACK has none", async () => {
    const { played } = await watch("E-notrack");
    assert.equal(played.answer, "answer to proxy");
  });

  test("full: datagrams that find no room in the conntrack table", async () => {
    const seen = await watch("full");
    const finding = only(seen);
    assert.ok(Number(seen.played.refused) > 0);
    assert.equal(finding.consequence.lost_packets, seen.played.refused);
    assert.equal(finding.consequence.conntrack_limit, seen.played.limit);
  });

  test("ordinary traffic has none", async () => {
    const { played } = await watch("clean");
    assert.deepEqual([played.connections, played.answers, played.refused], [3000, 1500, 300]);
  });
});
