import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import type { FindingJson } from "../../src/findings/finding.ts";
import { PortWatch } from "../../src/findings/port-watch.ts";
import { NO_LEDGER } from "../../src/ports/ledger.ts";
import { queryPorts } from "../../src/ports/query.ts";
import { PortSampler } from "../../src/ports/sampler.ts";
import { takePortSnapshot } from "../../src/ports/snapshot.ts";
import { type DestinationOutlook, PortTrends } from "../../src/ports/trend.ts";
import { commands, Scene } from "../support/findings.ts";
import { Netns } from "../support/netns.ts";
import { find, type HeldPorts, holdPorts } from "../support/ports.ts";
import { until } from "../support/until.ts";

/** A new scan whenever one is asked for, and as long as it takes. */
const ALWAYS = { intervalMs: 0, maxCpuRatio: Number.POSITIVE_INFINITY, patienceMs: 60_000 };

const RANGE = "net.ipv4.ip_local_port_range";
const REUSE = "net.ipv4.tcp_tw_reuse";

describe("local ports that run low", () => {
  let netns: Netns;
  let scene: Scene;
  let seen: readonly DestinationOutlook[];
  let portWatch: PortWatch;
  const held: HeldPorts[] = [];

  beforeEach(() => {
    netns = new Netns();
    netns.sysctl(RANGE, "20000 20099");
    scene = new Scene({ queryPorts: (query) => queryPorts(query, NO_LEDGER) });
    seen = [];
    portWatch = new PortWatch({
      scans: new PortSampler({ onError: assert.ifError, ...ALWAYS }),
      trends: new PortTrends(),
      take: (outlooks) => {
        seen = outlooks.filter((one) => one.netns.inum === netns.inum);
        scene.engine.takePorts(seen);
      },
      onError: assert.ifError,
    });
  });
  afterEach(async () => {
    for (const one of held.splice(0)) await one.end();
    netns.delete();
  });

  async function hold(steps: Readonly<Record<string, number>>): Promise<HeldPorts> {
    const holder = await holdPorts(netns, steps);
    held.push(holder);
    return holder;
  }

  async function found(): Promise<FindingJson> {
    await portWatch.look();
    await until(() => scene.kinds.length > 0, "the finding");
    assert.equal(scene.only.kind, "local_ports_low");
    assert.equal(scene.only.netns?.name, netns.name);
    return scene.only;
  }

  /** Not even a reason to look more closely. */
  async function nothing(): Promise<void> {
    await portWatch.look();
    assert.deepEqual([scene.portQueries, scene.kinds], [[], []]);
  }

  const ratios = () => seen.map(({ destination, ratio }) => [destination.peer.port, ratio]);

  test("60 of 100 ports of open connections: a warning, and whose they are", async () => {
    const { pid } = await hold({ tcp: 60 });
    const { severity, summary } = await found();
    assert.equal(severity, "warning");
    const text =
      "127.0.0.1:4500 are running low: 60 of the 100 ports 20000-20099 are taken towards it (60 " +
      `ESTABLISHED), 60 of them opened by python3 (pid ${pid}).`;
    assert.ok(summary.endsWith(text), summary);
    assert.equal((await takePortSnapshot(await find(netns))).tcpSettings, undefined);
  });

  test("40 of 100, and what a listener in the range accepted: nothing", async () => {
    netns.sysctl(RANGE, "4500 4599");
    await hold({ tcp: 40 });
    await nothing();
    const first = ratios()[0];
    assert.deepEqual(first, [4500, 40 / 99]);
  });

  test("60 ports in TIME_WAIT that nothing may take over: a warning, and what would", async () => {
    netns.sysctl(REUSE, "0");
    await hold({ time_wait: 60 });
    const finding = await found();
    assert.match(finding.summary, /\(60 TIME-WAIT\)/);
    assert.match(commands(finding), /sysctl -w net\.ipv4\.tcp_tw_reuse=1/);
    const { tcpSettings } = await takePortSnapshot(await find(netns));
    assert.deepEqual(tcpSettings, { twReuse: 0, timestamps: 1 });
  });

  test("90 ports in TIME_WAIT over loopback, with the kernel's default: nothing", async () => {
    netns.sysctl(REUSE, "2");
    await hold({ time_wait: 90 });
    await nothing();
    assert.deepEqual(ratios(), [[4504, 0]]);
  });

  test("the same without timestamps: a warning", async () => {
    netns.sysctl("net.ipv4.tcp_timestamps", "0");
    await hold({ time_wait: 90 });
    const finding = await found();
    assert.doesNotMatch(commands(finding), /sysctl -w net\.ipv4\.tcp_tw_reuse/);
  });

  test("ports of UDP, and ports that are bound: nothing", async () => {
    await hold({ udp_connected: 60 });
    await nothing();
    netns.sysctl(RANGE, "20000 20699");
    await hold({ bound_tcp: 60 });
    await nothing();
  });

  test("more ports in each of three scans: info, with a time", async () => {
    await hold({ tcp: 10 });
    await nothing();
    for (const more of [10, 10]) {
      await hold({ more });
      await nothing();
    }
    await hold({ more: 10 });
    const { severity, summary } = await found();
    assert.equal(severity, "info");
    assert.match(summary, /40 of the 100 ports .*; at the present rate none is left in \d+ s\.$/);
    assert.ok((seen[0]?.exhaustedInS ?? 0) > 0);
  });

  test("a burst that has ended: nothing", async () => {
    await hold({ tcp: 10 });
    await nothing();
    await hold({ more: 30 });
    for (let scans = 0; scans < 3; scans++) await nothing();
    assert.deepEqual(
      seen.map(({ ratio, exhaustedInS }) => [ratio, exhaustedInS]),
      [[0.4, undefined]],
    );
  });
});
