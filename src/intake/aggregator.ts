import { Counter, Histogram, type Registry } from "prom-client";
import type { CounterSpec, HistogramSpec, LabelSpec } from "../probes/metric-specs.ts";
import type { RecordType } from "../probes/probe.ts";
import { combinations, initLabels } from "../util/init-series.ts";
import { LabelCounter } from "../util/label-counter.ts";

/** Counts the records of one batch; `rows` holds `count` rows of the type's columns. */
export type Aggregator = (rows: Float64Array, count: number) => void;

/** Registers the metrics of a type of records. */
export function createAggregator(registry: Registry, type: RecordType): Aggregator {
  const parts = [
    ...type.counters.map((spec) => counting(registry, spec, type.columnCount)),
    ...type.histograms.map((spec) => observing(registry, spec, type.columnCount)),
  ];
  return (rows, count) => {
    for (const part of parts) part(rows, count);
  };
}

function counting(registry: Registry, spec: CounterSpec, columnCount: number): Aggregator {
  const { name, help, labels = {}, amount, begin = [{}] } = spec;
  const counter = new Counter({
    name,
    help,
    labelNames: Object.keys(labels),
    registers: [registry],
  });
  const values = mapValues(labels, (label) => label.values);
  for (const some of begin) initLabels(counter, { ...values, ...some });
  const counts = new LabelCounter(counter, labels, amount);
  return (rows, count) => {
    for (let index = 0, row = 0; index < count; index++, row += columnCount) counts.add(rows, row);
    counts.flush();
  };
}

function observing(registry: Registry, spec: HistogramSpec, columnCount: number): Aggregator {
  const { name, help, labels, column, perUnit, buckets } = spec;
  const histogram = new Histogram({
    name,
    help,
    labelNames: Object.keys(labels),
    buckets: [...buckets],
    registers: [registry],
  });
  for (const one of combinations(mapValues(labels, (label) => label.values))) histogram.zero(one);
  const entries = Object.entries(labels);
  return (rows, count) => {
    for (let index = 0, row = 0; index < count; index++, row += columnCount) {
      const texts: Record<string, string> = {};
      for (const [label, spec] of entries)
        texts[label] = spec.text(rows[row + spec.column] as number);
      histogram.observe(texts, (rows[row + column] as number) / perUnit);
    }
  };
}

function mapValues<T>(
  labels: Readonly<Record<string, LabelSpec>>,
  of: (label: LabelSpec) => T,
): Record<string, T> {
  return Object.fromEntries(Object.entries(labels).map(([name, label]) => [name, of(label)]));
}
