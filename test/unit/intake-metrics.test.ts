import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Registry } from "prom-client";
import { RECORDS } from "../../src/events/events.gen.ts";
import { resultName } from "../../src/events/fields.ts";
import { createAggregator } from "../../src/intake/aggregator.ts";
import { connect } from "../../src/probes/connect.ts";
import { BUCKETS_SECONDS } from "../../src/probes/connect_tally.ts";
import { enumLabel, protocolLabel } from "../../src/probes/metric-specs.ts";
import type { RecordType } from "../../src/probes/probe.ts";
import { LabelCounter } from "../../src/util/label-counter.ts";
import { LabelHistogram } from "../../src/util/label-histogram.ts";
import { type Fields, recordBytes, ringRecords } from "../support/ring-records.ts";

const { columns, enums } = RECORDS.connect;
const protocol = protocolLabel(columns.protocol);
const outcome = (error: number) => (error === 0 ? "ok" : "failed");

/** With metrics of each kind; the probe's own are not made of its records. */
const CONNECT: RecordType = {
  ...connect.recordTypes[0],
  counters: [
    {
      name: "tuplewatch_connect_events_total",
      help: "By result and technique.",
      labels: {
        protocol,
        result: { column: columns.error, text: resultName, values: ["ok"] },
        technique: enumLabel(columns.technique, enums.technique),
      },
    },
    {
      name: "tuplewatch_connect_syn_retransmits_total",
      help: "An amount.",
      amount: columns.synRetransmits,
    },
    {
      name: "tuplewatch_connect_conflicts_total",
      help: "Another.",
      amount: columns.hasConflict,
    },
  ],
  histograms: [
    {
      name: "tuplewatch_connect_duration_seconds",
      help: "Durations.",
      labels: {
        protocol,
        outcome: { column: columns.error, text: outcome, values: ["ok", "failed"] },
      },
      column: columns.durationNs,
      perUnit: 1e9,
      buckets: BUCKETS_SECONDS,
    },
  ],
};
const TCP = { protocol: 6, duration_ns: 200_000 };

/** Counts connects as the daemon does, in one batch after the other. */
class Counting {
  readonly #registry = new Registry();
  readonly #add = createAggregator(this.#registry, CONNECT);

  add(...batch: readonly Fields[]): void {
    const rows = new Float64Array(batch.length * CONNECT.columnCount);
    const bytes = batch.map((fields) => recordBytes(CONNECT, fields));
    const { views, offsets, count } = ringRecords(connect, bytes);
    CONNECT.decodeColumns(views, offsets, count, rows);
    this.#add(rows, count);
  }

  /** Lines of the text of metrics that begin so, without `tuplewatch_connect_`. */
  async lines(start: string): Promise<string[]> {
    const text = await this.#registry.metrics();
    const prefix = "tuplewatch_connect_";
    return text
      .split("\n")
      .filter((line) => line.startsWith(prefix + start))
      .map((line) => line.slice(prefix.length));
  }
}

describe("metrics of records", () => {
  it("are exact, by every combination of labels, over batches and scrapes", async () => {
    const counting = new Counting();
    counting.add(TCP, TCP, { ...TCP, error: 111 }, { ...TCP, protocol: 17 });
    counting.add({ ...TCP, technique: 2 }, TCP);
    const expected = [
      'events_total{protocol="tcp",result="ok",technique="plain"} 3',
      'events_total{protocol="tcp",result="ok",technique="bind_before_connect"} 1',
      'events_total{protocol="udp",result="ok",technique="plain"} 1',
      'events_total{protocol="tcp",result="ECONNREFUSED",technique="plain"} 1',
    ];
    for (let scrape = 0; scrape < 2; scrape++) {
      const lines = await counting.lines("events_total");
      assert.deepEqual(lines.filter((line) => !line.endsWith(" 0")).sort(), expected.sort());
    }
    counting.add(TCP);
    assert.ok(
      (await counting.lines("events_total")).includes(expected[0]?.replace("3", "4") ?? ""),
    );
  });

  it("name values that are not known as they came", async () => {
    const counting = new Counting();
    counting.add({ ...TCP, error: -1 }, { ...TCP, error: 4095 }, { ...TCP, protocol: 250 });
    counting.add({ ...TCP, technique: 200 });
    const lines = await counting.lines("events_total");
    const labels = lines.filter((line) => line.endsWith(" 1")).map((line) => line.slice(12));
    assert.deepEqual(labels.sort(), [
      '{protocol="250",result="ok",technique="plain"} 1',
      '{protocol="tcp",result="errno_4095",technique="plain"} 1',
      '{protocol="tcp",result="ok",technique="200"} 1',
      '{protocol="tcp",result="unknown",technique="plain"} 1',
    ]);
  });

  it("add up amounts", async () => {
    const counting = new Counting();
    counting.add({ ...TCP, syn_retransmits: 3 }, TCP, { ...TCP, syn_retransmits: 2 });
    counting.add({ ...TCP, has_conflict: 1 });
    assert.deepEqual(await counting.lines("syn_retransmits_total"), ["syn_retransmits_total 5"]);
    assert.deepEqual(await counting.lines("conflicts_total"), ["conflicts_total 1"]);
  });

  it("put durations into the bucket of their bound, and sum them", async () => {
    const counting = new Counting();
    const durations = [100_000, 100_001, 64_000_000_000, 64_000_000_001];
    counting.add(...durations.map((duration_ns) => ({ ...TCP, duration_ns })));
    counting.add({ ...TCP, duration_ns: 5, error: 111 }, { ...TCP, duration_ns: 7, error: 110 });
    const lines = await counting.lines("duration_seconds");
    const ok = lines.filter((line) => line.includes('protocol="tcp",outcome="ok"'));
    const cumulated = ok.slice(0, -2).map((line) => line.replace(/.*le="(.*?)".* /, "$1 "));
    assert.deepEqual(cumulated, [
      ...["0.0001 1", "0.0005 2", "0.001 2", "0.005 2", "0.02 2", "0.1 2", "0.5 2", "1 2", "2 2"],
      ...["4 2", "8 2", "16 2", "32 2", "64 3", "+Inf 4"],
    ]);
    const sums = ok.slice(-2).map((line) => line.replace(/.*_(.*)\{.*\}/, "$1"));
    assert.deepEqual(sums, ["sum 128.000200002", "count 4"]);
    const failed = lines.filter((line) => line.includes('outcome="failed"'));
    assert.ok(failed.includes('duration_seconds_count{protocol="tcp",outcome="failed"} 2'));
    assert.ok(failed.includes('duration_seconds_count{protocol="udp",outcome="failed"} 0'));
  });
});

/** More than there are cells. */
const COMBINATIONS = 1000;
const ROUNDS = 3;

/** Each of many values once per round, in columns 0 (the value) and 1 (an amount). */
function manyValues(): Float64Array {
  return Float64Array.from({ length: 2 * COMBINATIONS }, (_, at) => (at % 2 === 0 ? at / 2 : 10));
}

describe("cells of labels", () => {
  const labels = { value: { column: 0, text: String } };

  it("are bounded, and lose nothing", async () => {
    const registry = new Registry();
    const counter = new LabelCounter(registry, { name: "a_total", help: "a", labels, amount: 1 });
    for (let round = 0; round < ROUNDS; round++) counter.add(manyValues(), COMBINATIONS, 2);
    const { values } = await counter.counter.get();
    assert.equal(values.length, COMBINATIONS);
    assert.ok(values.every(({ value }) => value === ROUNDS * 10));
  });

  it("of a histogram are, too; those with one text are one series", async () => {
    const parity = { parity: { column: 0, text: (value: number) => String(value % 2) } };
    const spec = { name: "b", help: "b", labels: parity, column: 1, perUnit: 10, buckets: [1, 2] };
    const histogram = new LabelHistogram(new Registry(), spec);
    for (let round = 0; round < ROUNDS; round++) histogram.add(manyValues(), COMBINATIONS, 2);
    const { values } = await histogram.get();
    const half = (ROUNDS * COMBINATIONS) / 2;
    for (const [name, count] of [
      ["b_count", half],
      ["b_sum", half],
    ] as const) {
      const found = values.filter(({ metricName }) => metricName === name);
      assert.deepEqual(
        found.map(({ value }) => value),
        [count, count],
      );
    }
  });
});
