import type { Registry } from "prom-client";
import type { CounterSpec, HistogramSpec, LabelSpec } from "../probes/metric-specs.ts";
import type { RecordType } from "../probes/probe.ts";
import { combinations, initLabels } from "../util/init-series.ts";
import { LabelCounter } from "../util/label-counter.ts";
import { LabelHistogram } from "../util/label-histogram.ts";

/** Counts the records of one batch; `rows` holds `count` rows of the type's columns. */
export type Aggregator = (rows: Float64Array, count: number) => void;

/** Registers the metrics of a type of records. */
export function createAggregator(registry: Registry, type: RecordType): Aggregator {
  const { counters, histograms, columnCount } = type;
  const parts = [
    ...counters.map((spec) => createCounter(registry, spec)),
    ...histograms.map((spec) => createHistogram(registry, spec)),
  ];
  return (rows, count) => {
    for (const part of parts) part.add(rows, count, columnCount);
  };
}

function createCounter(registry: Registry, spec: CounterSpec): LabelCounter {
  const { name, help, labels = {}, amount, begin = [{}] } = spec;
  const counter = new LabelCounter(registry, { name, help, labels, amount });
  const values = valuesOf(labels);
  for (const some of begin) initLabels(counter.counter, { ...values, ...some });
  return counter;
}

function createHistogram(registry: Registry, spec: HistogramSpec): LabelHistogram {
  const histogram = new LabelHistogram(registry, spec);
  for (const one of combinations(valuesOf(spec.labels))) histogram.zero(one);
  return histogram;
}

function valuesOf(labels: Readonly<Record<string, LabelSpec>>): Record<string, readonly string[]> {
  return Object.fromEntries(Object.entries(labels).map(([name, { values }]) => [name, values]));
}
