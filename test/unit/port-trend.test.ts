import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Registry } from "prom-client";
import { registerNamespaceMetrics } from "../../src/ports/metrics.ts";
import type { PortScan } from "../../src/ports/sampler.ts";
import { type DestinationOutlook, PortTrends } from "../../src/ports/trend.ts";
import { portsOf, type ScanOptions, scanAt, towards } from "../support/port-scans.ts";

const PEER = "10.0.0.7:443";
const NEVER = { twReuse: 0, timestamps: 1 };

type States = Readonly<Record<string, number>>;

/** What is thought of the one destination after scans every 10 s. */
function after(each: readonly States[], options: ScanOptions = {}): DestinationOutlook {
  const trends = new PortTrends();
  let outlook: DestinationOutlook | undefined;
  for (const [index, states] of each.entries()) {
    const scan = scanAt(10 * index, [towards(PEER, states)], options);
    [outlook] = [...trends.of(scan).values()].flat();
  }
  assert.ok(outlook);
  return outlook;
}

const established = (...counts: readonly number[]): States[] =>
  counts.map((count) => ({ established: count }));
const waiting = (...counts: readonly number[]): States[] =>
  counts.map((count) => ({ time_wait: count }));

describe("the part of the usable ports that is taken", () => {
  it("is of those that are not bound whatever the destination", () => {
    const { usable, ratio } = after(established(30), { available: 100, bound: 40 });
    assert.deepEqual([usable, ratio], [60, 0.5]);
  });

  const cases: [string, { twReuse: number; timestamps: number }, string, number][] = [
    ["counts TIME_WAIT where nothing may take it over", NEVER, PEER, 0.9],
    ["does not with tcp_tw_reuse=1", { twReuse: 1, timestamps: 1 }, PEER, 0.1],
    ["counts it without timestamps", { twReuse: 1, timestamps: 0 }, PEER, 0.9],
    ["counts it with tcp_tw_reuse=2 elsewhere", { twReuse: 2, timestamps: 1 }, PEER, 0.9],
    ["does not over loopback", { twReuse: 2, timestamps: 1 }, "127.0.0.1:80", 0.1],
    ["does not over loopback, IPv6", { twReuse: 2, timestamps: 1 }, "[::1]:80", 0.1],
  ];
  for (const [what, tcpSettings, peer, ratio] of cases) {
    it(what, () => {
      const scan = scanAt(0, [towards(peer, { established: 10, time_wait: 80 })], { tcpSettings });
      const [outlook] = [...new PortTrends().of(scan).values()].flat();
      assert.equal(outlook?.ratio, ratio);
    });
  }

  it("is unknown where connections come from several addresses, or all is bound", () => {
    const several = towards(PEER, { established: 60 }, { ports: 40 });
    const options = { available: 100 };
    assert.deepEqual([...new PortTrends().of(scanAt(0, [several], options)).values()], [[]]);
    const bound = scanAt(0, [towards(PEER, { established: 9 })], { available: 100, bound: 100 });
    assert.deepEqual([...new PortTrends().of(bound).values()], [[]]);
  });
});

describe("when the last port is taken", () => {
  const roomy = { available: 1000, tcpSettings: NEVER };

  it("is linear for connections that stay open, at the least rate", () => {
    const { exhaustedInS } = after(established(100, 200, 300, 350), roomy);
    assert.equal(exhaustedInS, 650 / 5);
  });

  it("is that of TIME_WAIT while it grows to more than there is", () => {
    const { exhaustedInS } = after(waiting(100, 300, 500, 700), roomy);
    assert.equal(exhaustedInS, 300 / 20);
  });

  it("is never where TIME_WAIT settles below the end", () => {
    assert.equal(after(waiting(100, 250, 400, 550), roomy).exhaustedInS, undefined);
  });

  it("is later where some stay open and the others settle", () => {
    const mixed = [0, 1, 2, 3].map((n) => ({ established: 10 * n, time_wait: 30 + 60 * n }));
    // 6 a second settle at 360, in 25 s; of the 660 left 175 are taken until then, the others by 1 a second.
    assert.equal(after(mixed, { ...roomy, available: 900 }).exhaustedInS, 25 + 485);
    assert.equal(after(mixed, roomy).exhaustedInS, undefined, "100 s later is beyond ten minutes");
  });

  it("is not told beyond ten minutes, nor below a tenth of the range", () => {
    assert.equal(after(established(100, 110, 120, 130), roomy).exhaustedInS, undefined);
    assert.equal(after(established(0, 30, 60, 90), roomy).exhaustedInS, undefined);
    assert.equal(after(established(0, 40, 80, 120), roomy).exhaustedInS, 220);
  });

  it("is now where none is left", () => {
    assert.equal(after(established(100)).exhaustedInS, 0);
  });

  it("is not told after a burst, be it in two intervals, nor where connections end as they begin", () => {
    assert.equal(after(established(0, 0, 200, 400), roomy).exhaustedInS, undefined);
    assert.equal(after(established(0, 200, 400, 400), roomy).exhaustedInS, undefined);
    const ending = [300, 200, 100, 0].map((n) => ({ established: n, time_wait: 300 - n }));
    assert.equal(after(ending, roomy).exhaustedInS, undefined);
  });

  it("is not told of ports in TIME_WAIT that may be taken over", () => {
    const options = { ...roomy, tcpSettings: { twReuse: 1, timestamps: 1 } };
    assert.equal(after(waiting(100, 300, 500, 700), options).exhaustedInS, undefined);
  });

  it("begins anew after another process's clock, and asks nothing of the same scan", () => {
    const trends = new PortTrends();
    const take = (at: number, count: number) => {
      const scan = scanAt(at, [towards(PEER, { established: count })], roomy);
      return [...trends.of(scan).values()].flat()[0]?.exhaustedInS;
    };
    for (const at of [110, 120, 130]) assert.equal(take(at, at), undefined);
    assert.equal(take(130, 130), undefined, "as often as it is asked");
    assert.equal(take(5, 400), undefined);
    assert.equal(take(15, 500), undefined);
    assert.equal(take(25, 600), undefined);
    assert.equal(take(35, 700), 30);
  });
});

describe("metrics of what is left", () => {
  async function values(scans: readonly PortScan[]): Promise<Map<string, [object, number][]>> {
    const registry = new Registry();
    let latest = scans[0];
    const sampler = { latest: async () => latest, ageMs: 0, failures: 0 };
    registerNamespaceMetrics(registry, sampler, new PortTrends());
    for (const scan of scans) {
      latest = scan;
      await registry.metrics();
    }
    const metrics = await registry.getMetricsAsJSON();
    return new Map(
      metrics.map(({ name, values: all }) => [name, all.map((one) => [one.labels, one.value])]),
    );
  }

  it("are the three greatest parts, by rank, of each protocol", async () => {
    const peers = [5, 40, 20, 10].map((n, index) =>
      towards(`10.0.0.${index}:443`, { established: n }),
    );
    const udp = towards("10.0.0.9:53", { established: 7 }, { protocol: "udp" });
    const found = await values([scanAt(0, [...peers, udp])]);
    assert.deepEqual(found.get("tuplewatch_local_ports_destination_ratio"), [
      [{ netns: "web", protocol: "tcp", rank: "1" }, 0.4],
      [{ netns: "web", protocol: "tcp", rank: "2" }, 0.2],
      [{ netns: "web", protocol: "tcp", rank: "3" }, 0.1],
      [{ netns: "web", protocol: "udp", rank: "1" }, 0.07],
    ]);
    assert.deepEqual(found.get("tuplewatch_local_ports_exhausted_in_seconds"), []);
  });

  it("are the first end of a namespace, and of those without a label together", async () => {
    const scans = [0, 1, 2, 3].map((n) => {
      const scan = scanAt(10 * n, []);
      const snapshots = Array.from({ length: 34 }, (_, index) => ({
        ...portsOf([towards(PEER, { established: 10 * n + (index === 33 ? 20 : 10) })], {
          name: `n${index}`,
        }),
        netns: { inum: index + 1, cookie: BigInt(index + 1), name: `n${index}`, path: "" },
      }));
      return { ...scan, snapshots };
    });
    const found = await values(scans);
    const ends = new Map(
      (found.get("tuplewatch_local_ports_exhausted_in_seconds") ?? []).map(([labels, value]) => [
        (labels as { netns: string }).netns,
        value,
      ]),
    );
    assert.equal(ends.size, 33);
    assert.deepEqual([ends.get("n0"), ends.get("other")], [60, 50]);
  });
});
