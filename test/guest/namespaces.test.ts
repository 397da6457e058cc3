import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { type PortSnapshot, takePortSnapshot } from "../../src/ports/snapshot.ts";
import { type DaemonProcess, startDaemonProcess, stopDaemon } from "../support/commands.ts";
import { metric } from "../support/feed.ts";
import { Netns } from "../support/netns.ts";
import { find, type HeldPorts, holdPorts } from "../support/ports.ts";
import { until } from "../support/until.ts";
import { sinceKernel } from "../vm/requires.ts";

/** Each flow is one entry. */
const FLOWS = [17, 5];

const SEND = `
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for index in range(int(sys.argv[1])):
    sock.sendto(b"x", ("127.0.0.1", 7000 + index))
`;

const TRACK = `table ip track {
  chain out { type filter hook output priority 0; ct state new; }
}`;

describe("network namespaces", () => {
  const namespaces = FLOWS.map(() => new Netns());
  const [, second] = namespaces as [Netns, Netns];
  let daemon: DaemonProcess;
  let held: HeldPorts;
  let snapshot: PortSnapshot;

  before(async () => {
    execFileSync("modprobe", ["nf_conntrack"]);
    namespaces.forEach((netns, index) => {
      netns.exec("nft", TRACK);
      // A slow guest takes longer than the 30 s after which an unanswered flow is forgotten.
      netns.sysctl("net.netfilter.nf_conntrack_udp_timeout", "600");
      // "Port unreachable", which comes back, belongs to the same entry.
      netns.exec("python3", "-c", SEND, String(FLOWS[index]));
    });
    second.sysctl("net.ipv4.ip_local_port_range", "20000 20999");
    held = await holdPorts(second, { tcp: 9, time_wait: 4, bound_tcp: 3 });
    snapshot = await takePortSnapshot(await find(second));
    daemon = await startDaemonProcess(["--backend", "counters"]);
  });
  after(async () => {
    await stopDaemon(daemon);
    await held.end();
    for (const netns of namespaces) netns.delete();
  });

  test("each tells the entries of its own conntrack table", async () => {
    const read = () => metric(daemon.url, "tuplewatch_conntrack_entries");
    // The first scrape may be over before the first scan is, on a slow guest.
    await until(async () => (await read()).size > 0, "a scan");
    const entries = await read();
    const limits = await metric(daemon.url, "tuplewatch_conntrack_entries_limit");
    const [one, two] = namespaces.map(({ name }) => `{netns="${name}"}`) as [string, string];
    // Each connection is an entry too, also one that is over.
    assert.deepEqual([entries.get(one), entries.get(two)], [FLOWS[0], (FLOWS[1] ?? 0) + 9 + 4]);
    namespaces.forEach((netns, index) => {
      const count = Number(netns.exec("conntrack", "-C"));
      assert.equal(entries.get(index === 0 ? one : two), count);
    });
    assert.ok((limits.get(one) ?? 0) > 1000);
  });

  test("each tells the ports that its sockets hold", () => {
    const { tcp, time_wait } = held.ports;
    const bound = [20600, 20601, 20602];
    const connected = tcp.filter((port) => !bound.includes(port));
    const { destinations } = snapshot;
    assert.deepEqual(
      destinations.map(({ peer, ports, states }) => [peer.port, ports, states]),
      [
        [4500, new Set(connected).size, { established: 9 }],
        [4504, new Set(time_wait).size, { time_wait: 4 }],
      ],
    );
  });

  test("sockets that are bound and nothing else hold a port too", (t) => {
    if (!sinceKernel(t, "6.8", "sock_diag lists sockets that are bound only")) return;
    assert.equal(snapshot.tcp.bound_without_peer, 3);
  });

  test("each has a cookie of its own", (t) => {
    if (!sinceKernel(t, "5.14", "SO_NETNS_COOKIE tells the cookie")) return;
    assert.ok(snapshot.netns.cookie !== undefined && snapshot.netns.cookie > 0n);
  });
});
