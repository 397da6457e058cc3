import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Registry } from "prom-client";
import { registerConnectMetrics } from "../../src/intake/connect-metrics.ts";
import { BUCKETS_SECONDS, type ConnectTally } from "../../src/probes/connect_tally.ts";

const TCP = 6;
const UDP = 17;

function tally(
  more: Partial<ConnectTally>,
  counts: Readonly<Record<number, number>>,
): ConnectTally {
  const buckets = new Array<number>(BUCKETS_SECONDS.length + 1).fill(0);
  for (const [bucket, count] of Object.entries(counts)) buckets[Number(bucket)] = count;
  const none = { error: 0, protocol: TCP, technique: 0, durationNs: 0 };
  return { ...none, synRetransmits: 0, conflicts: 0, ...more, buckets };
}

async function scrape(tallies: readonly ConnectTally[]): Promise<string> {
  const registry = new Registry();
  registerConnectMetrics(registry, async () => tallies);
  await registry.metrics();
  return registry.metrics();
}

describe("metrics of connects that the kernel counted", () => {
  const above = BUCKETS_SECONDS.length;

  it("are sums of the tallies, each scrape anew", async () => {
    const text = await scrape([
      tally({ durationNs: 2e9, synRetransmits: 3 }, { 0: 5, 2: 2 }),
      tally({ technique: 2, durationNs: 1e9 }, { 0: 1 }),
      tally({ error: 111, durationNs: 5e8 }, { [above]: 4 }),
      tally({ error: 9999, protocol: UDP, conflicts: 6 }, { 1: 1 }),
    ]);
    const has = (line: string) => assert.ok(text.split("\n").includes(line), `${line}\n${text}`);
    const results = "tuplewatch_connect_events_total";
    has(`${results}{protocol="tcp",result="ok",technique="plain"} 7`);
    has(`${results}{protocol="tcp",result="ok",technique="bind_before_connect"} 1`);
    has(`${results}{protocol="tcp",result="ECONNREFUSED",technique="plain"} 4`);
    has(`${results}{protocol="tcp",result="EADDRNOTAVAIL",technique="plain"} 0`);
    has("tuplewatch_connect_syn_retransmits_total 3");
    has("tuplewatch_connect_conflicts_total 6");
    const seconds = "tuplewatch_connect_duration_seconds";
    has(`${seconds}_bucket{le="0.0001",protocol="tcp",outcome="ok"} 6`);
    has(`${seconds}_bucket{le="0.0005",protocol="tcp",outcome="ok"} 6`);
    has(`${seconds}_bucket{le="0.001",protocol="tcp",outcome="ok"} 8`);
    has(`${seconds}_bucket{le="+Inf",protocol="tcp",outcome="ok"} 8`);
    has(`${seconds}_bucket{le="64",protocol="tcp",outcome="failed"} 0`);
    has(`${seconds}_bucket{le="+Inf",protocol="tcp",outcome="failed"} 4`);
    has(`${seconds}_sum{protocol="tcp",outcome="ok"} 3`);
    has(`${seconds}_count{protocol="udp",outcome="failed"} 1`);
    has(`# TYPE ${seconds} histogram`);
  });

  it("are there before the first connect", async () => {
    const text = await scrape([]);
    assert.match(
      text,
      /^tuplewatch_connect_duration_seconds_count\{protocol="udp",outcome="ok"\} 0$/m,
    );
    assert.match(text, /^tuplewatch_connect_syn_retransmits_total 0$/m);
  });
});
