import assert from "node:assert/strict";
import { release } from "node:os";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { FindingJson, FindingKind } from "../../src/findings/finding.ts";
import { getFindings } from "../support/api.ts";
import { startDaemonProcess } from "../support/commands.ts";
import type { ParsedEvent } from "../support/events.ts";
import { eventsOf } from "../support/feed.ts";
import { until } from "../support/server.ts";
import { isOlder } from "../vm/requires.ts";
import { SCENARIOS, type ScenarioName } from "./catalog.ts";
import { type Played, play } from "./play.ts";

/** A finding must be on the stream this soon after the last packet. */
const SOON_MS = 1000;

/** Some findings rest on a census of ports: it takes some ms, but seconds on an emulated machine. */
const CENSUS_MS: Partial<Record<FindingKind, number>> = {
  port_locked_by_bind: process.env.GUEST_EMULATED === "1" ? 9000 : 0,
};

/** How late one may be to be called late, not missing. */
const LATEST_MS = 20_000;

/** For whatever else might be concluded to be so. */
const SETTLE_MS = process.env.GUEST_EMULATED === "1" ? 2000 : 1500;

/** All scenarios on an emulated machine. */
const LIMIT_MS = 1_200_000;

let daemon: Awaited<ReturnType<typeof startDaemonProcess>>;

interface Seen {
  readonly played: Played;
  /** All findings that opened while it ran, as they are at its end. */
  readonly findings: readonly FindingJson[];
}

interface FindingEvent extends FindingJson {
  readonly seq: number;
  readonly time: string;
}

/** Fails unless the findings that opened are of these kinds, one each, in time. */
async function watch(
  name: ScenarioName,
  kinds: readonly FindingKind[],
  isComplete: (finding: FindingJson) => boolean = () => true,
): Promise<Seen> {
  const startedAtMs = Date.now();
  return play(SCENARIOS[name], async (played) => {
    const opened = async () => {
      const told = (await eventsOf(daemon.url, 0, {
        type: "finding",
      })) as unknown as FindingEvent[];
      const mine = told.filter(({ first_seen }) => Date.parse(first_seen) >= startedAtMs - 1);
      return { mine, ids: [...new Set(mine.map(({ id }) => id))] };
    };
    const deadlineMs = Date.now() + LATEST_MS;
    while ((await opened()).ids.length < kinds.length && Date.now() < deadlineMs) await sleep(100);
    await sleep(SETTLE_MS);
    const { mine, ids } = await opened();
    assert.deepEqual(
      ids.map((id) => mine.find((event) => event.id === id)?.kind),
      kinds,
      JSON.stringify({ told: mine.map(({ summary }) => summary), played, of: await causes() }),
    );
    for (const id of ids) {
      const delayMs =
        Date.parse(mine.find((event) => event.id === id)?.time ?? "") - played.ended_at_ms;
      const limitMs = SOON_MS + (CENSUS_MS[kindOf(id)] ?? 0);
      assert.ok(delayMs <= limitMs, `${id} came ${delayMs} ms after the last packet`);
    }
    let findings = await listed(ids);
    await until(async () => {
      findings = await listed(ids);
      return findings.every(isComplete);
    }, "the findings are complete");
    return { played, findings };
  });
}

/** For a finding that did not come: the last events that it could have been made of. */
async function causes(): Promise<readonly ParsedEvent[]> {
  const types = ["challenge_ack", "challenge_outcome", "conntrack_insert_failed", "flow_retry"];
  const told = await Promise.all(types.map((type) => eventsOf(daemon.url, 0, { type })));
  return told.flatMap((events) => events.slice(-5));
}

/** Ids are the kind and a number. */
function kindOf(id: string): FindingKind {
  return id.replace(/-\d+$/, "") as FindingKind;
}

async function listed(ids: readonly string[]): Promise<readonly FindingJson[]> {
  return (await getFindings(daemon.url)).filter(({ id }) => ids.includes(id));
}

function only({ findings }: Seen): FindingJson {
  assert.equal(findings.length, 1);
  const [finding] = findings;
  assert.ok(finding !== undefined);
  assert.equal(finding.state, "active");
  assert.ok(finding.evidence.length > 0);
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

function within(value: number | undefined, low: number, high: number): void {
  assert.ok(value !== undefined && value >= low && value <= high, `${value}: ${low} to ${high}`);
}

const HAS_STALE_FLOW = !isOlder(release(), "5.10");

describe("scenarios", () => {
  before(async () => {
    daemon = await startDaemonProcess([], { timeoutMs: LIMIT_MS });
  });
  after(async () => {
    daemon.child.kill("SIGTERM");
    const { code } = await daemon.done;
    assert.equal(code, 0, daemon.stderr());
  });

  test("A: the SYN of a second client resets an established connection", async () => {
    const seen = await watch("A", ["four_tuple_collision"]);
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
    const seen = await watch("B1", ["nat_insert_race"]);
    const finding = only(seen);
    const seconds = seen.played.seconds as number[];
    within(Math.max(...seconds), 1, 2);
    assert.deepEqual(allPids(finding), new Set(seen.played.pids as number[]));
    assert.equal(finding.count, 1);
    assert.equal(finding.consequence.lost_packets, 1);
    assert.equal(finding.consequence.delayed_flows, 1);
    within(finding.consequence.delay_seconds_max, 0.9, Math.max(...seconds) + 0.01);
    assert.match(remedyText(finding), /10\.9\.0\.1 --random-fully/);
  });

  test("B1 with --random-fully has none", async () => {
    const { played } = await watch("B1-random", []);
    within(Math.max(...(played.seconds as number[])), 0, 0.9);
  });

  test("B2: a DNS request is lost, and its resolver asks again later", async () => {
    const seen = await watch("B2", ["nat_insert_race"]);
    const finding = only(seen);
    assert.match(finding.summary, /^1 DNS request of box[12] /);
    assert.deepEqual(allPids(finding), new Set(seen.played.pids as number[]));
    within(finding.consequence.delay_seconds_max, 1.1, 2);
    assert.match(remedyText(finding), /cache/);
  });

  test("B2 from one socket is resolved by the kernel: no finding", async () => {
    const { played } = await watch("B2-socket", []);
    assert.equal(played.answers, 2);
  });

  test("C1: 200 ports for 1,000 connects to one destination", async () => {
    // Who holds the ports is counted when a finding opens, and takes its time on such a machine.
    const counted = ({ consequence }: FindingJson) => consequence.ports_in_use !== undefined;
    const seen = await watch("C1", ["local_port_exhaustion"], counted);
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
    const seen = await watch("C2", ["port_locked_by_bind"]);
    const finding = only(seen);
    assert.deepEqual(pids(finding, "binder"), [seen.played.pid]);
    assert.match(finding.summary, /crawler/);
    assert.match(remedyText(finding), /IP_BIND_ADDRESS_NO_PORT/);
  });

  test("C3: with IP_BIND_ADDRESS_NO_PORT there is none", async () => {
    const { played } = await watch("C3", []);
    assert.deepEqual(played.results, { ok: 300 });
  });

  test("D: the newer of two UDP sockets gets the older one's answers", async () => {
    const seen = await watch("D", ["udp_overshadowing"]);
    const finding = only(seen);
    const { played } = seen;
    assert.deepEqual([played.answer, played.stolen], [null, "second"]);
    assert.deepEqual(allPids(finding), new Set([played.older_pid, played.newer_pid]));
    assert.match(finding.summary, /10\.5\.0\.1:7000/);
  });

  if (HAS_STALE_FLOW) {
    test("E: a released port leads the sidecar's question back to the sidecar", async () => {
      const seen = await watch("E", ["stale_conntrack_reuse"]);
      const finding = only(seen);
      const { played } = seen;
      assert.deepEqual([played.answer, played.looped], [null, "proxy"]);
      assert.deepEqual(allPids(finding), new Set([played.sidecar_pid, played.app_pid]));
      assert.match(remedyText(finding), /uid-owner 1337 .*(NOTRACK|notrack)/);
    });
  }

  test("E with NOTRACK has none", async () => {
    const { played } = await watch("E-notrack", []);
    assert.equal(played.answer, "answer to proxy");
  });

  test("ordinary traffic has none", async () => {
    const { played } = await watch("clean", []);
    assert.deepEqual([played.connections, played.answers, played.refused], [3000, 1500, 300]);
  });
});
