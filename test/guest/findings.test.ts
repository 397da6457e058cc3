import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import type { FindingKind } from "../../src/events/finding-kinds.ts";
import type { FindingJson } from "../../src/findings/finding.ts";
import { getFindings } from "../support/api.ts";
import { type DaemonProcess, startDaemonProcess, stopDaemon } from "../support/commands.ts";
import type { Attempts } from "../support/connects.ts";
import { isOfMarker, passMarker } from "../support/marker.ts";
import { Netns } from "../support/netns.ts";
import { until } from "../support/until.ts";

interface Fault {
  readonly fault: string;
  readonly pid: number;
  readonly senders?: readonly [number, number];
  /** Of each packet, "ok" or an errno. */
  readonly results?: readonly string[];
}

const CONNTRACK_FAULTS = ["snat_udp", "snat_tcp", "firewall", "containers", "table_full"];
const EXPECTED = 5;

describe("findings, by the best backends of this kernel", () => {
  const faults = new Map<string, Fault>();
  const netns = new Netns();
  let daemon: DaemonProcess;
  let bound: Attempts;
  let found: readonly FindingJson[] = [];

  before(async () => {
    execFileSync("modprobe", ["nf_conntrack"]);
    daemon = await startDaemonProcess();
    netns.sysctl("net.ipv4.ip_local_port_range", "30000 30099");
    const held = await netns.faultHeld<Attempts>("connects.py", "bind_before_connect_held", "96");
    bound = held.made;
    const script = "test/faults/conntrack_faults.py";
    const text = execFileSync("python3", [script, ...CONNTRACK_FAULTS], { encoding: "utf8" });
    for (const line of text.trim().split("\n")) {
      const fault = JSON.parse(line) as Fault;
      faults.set(fault.fault, fault);
    }
    await until(async () => {
      found = await read();
      return found.length >= EXPECTED;
    }, "all findings");
    await held.end();
    await passMarker(daemon.url);
    found = await read();
  });
  after(async () => {
    netns.delete();
    await stopDaemon(daemon);
  });

  async function read(): Promise<readonly FindingJson[]> {
    return (await getFindings(daemon.url)).filter((finding) => !isOfMarker(finding));
  }

  function one(kind: FindingKind, text: string): FindingJson {
    const [finding, ...others] = found.filter(
      (candidate) => candidate.kind === kind && candidate.summary.includes(text),
    );
    assert.ok(finding, JSON.stringify(found.map(({ summary }) => summary)));
    assert.deepEqual(others, []);
    return finding;
  }

  const roles = ({ parties }: FindingJson) =>
    parties.map(({ role, process }) => [role, process?.pid]);

  test("there is one for each fault, and no other", () => {
    assert.equal(found.length, EXPECTED, JSON.stringify(found.map(({ summary }) => summary)));
  });

  test("two containers onto one port are a race that names both processes", () => {
    const finding = one("nat_insert_race", "10.77.3.2:5355");
    const [winner, loser] = faults.get("containers")?.senders ?? [];
    assert.deepEqual(roles(finding), [
      ["refused", loser],
      ["holder", winner],
    ]);
    assert.equal(finding.consequence.lost_packets, 1);
    assert.equal(finding.confidence.level, "high");
  });

  test("two datagrams without a NAT port are a race, as far as one can tell", () => {
    assert.equal(one("nat_insert_race", "127.0.0.2:5353").consequence.lost_packets, 2);
  });

  test("a SYN that is refused again means that the ports are used up", () => {
    const { consequence, parties } = one("nat_ports_exhausted", "127.0.0.2:5354");
    assert.deepEqual(consequence, { lost_packets: 2, failed_connects: 1 });
    assert.equal(parties[0]?.process?.pid, faults.get("snat_tcp")?.pid);
  });

  test("a full table is told with the number of lost packets", () => {
    const finding = one("conntrack_table_full", "table is full");
    // Seven, or fewer where early_drop made room.
    const refused = faults.get("table_full")?.results?.filter((result) => result === "EPERM");
    assert.ok(refused !== undefined && refused.length > 0);
    assert.equal(finding.consequence.lost_packets, refused.length);
    assert.equal(finding.confidence.level, "high");
  });

  test("a range that bind() locks is told with the process", () => {
    const { consequence, parties, netns: place } = one("port_locked_by_bind", "96 local TCP ports");
    assert.deepEqual(consequence, { ports_locked: 96, ports_in_use: 96, ports_in_range: 100 });
    assert.equal(parties[0]?.process?.pid, bound.pid);
    assert.equal(place?.inum, netns.inum);
  });
});
