import { Histogram, type LabelValues, type Registry } from "prom-client";
import { type ColumnLabels, LabelCells, MAX_CELLS } from "./label-cells.ts";
import { describe, histogramValues } from "./read-histogram.ts";

export interface LabelHistogramSpec {
  readonly name: string;
  readonly help: string;
  readonly labels: ColumnLabels;
  /** Column with the observed value, which is divided by `perUnit`. */
  readonly column: number;
  readonly perUnit: number;
  /** Upper bounds, ascending. */
  readonly buckets: readonly number[];
}

/** Of one set of labels, since the start. */
interface Series {
  readonly labels: LabelValues<string>;
  /** Observations in each bucket alone; in the last, those above all bounds. */
  readonly counts: Float64Array;
  /** Of observed values as the rows have them: in integers, so that no addition rounds. */
  sum: number;
}

/** Observes a column of rows of numbers, by labels that some of the numbers tell. */
export class LabelHistogram extends Histogram {
  readonly #spec: LabelHistogramSpec;
  readonly #cells: LabelCells;
  /** Buckets per cell, with the one above all bounds. */
  readonly #bucketCount: number;
  readonly #counts: Float64Array;
  readonly #sums = new Float64Array(MAX_CELLS);
  readonly #series = new Map<string, Series>();

  constructor(registry: Registry, spec: LabelHistogramSpec) {
    const { name, help, labels, buckets } = spec;
    const labelNames = Object.keys(labels);
    super({ name, help, labelNames, buckets: [...buckets], registers: [registry] });
    this.#spec = spec;
    this.#cells = new LabelCells(labels, () => this.#fold());
    this.#bucketCount = buckets.length + 1;
    this.#counts = new Float64Array(MAX_CELLS * this.#bucketCount);
  }

  /** `rows` holds `count` rows of `columnCount` numbers. */
  add(rows: Float64Array, count: number, columnCount: number): void {
    const { column, perUnit, buckets } = this.#spec;
    const cells = this.#cells;
    const counts = this.#counts;
    const sums = this.#sums;
    const bucketCount = this.#bucketCount;
    for (let index = 0, row = 0; index < count; index++, row += columnCount) {
      const raw = rows[row + column] as number;
      const value = raw / perUnit;
      let bucket = 0;
      while (bucket < bucketCount - 1 && value > (buckets[bucket] as number)) bucket++;
      const cell = cells.of(rows, row);
      (counts[cell * bucketCount + bucket] as number) += 1;
      (sums[cell] as number) += raw;
    }
  }

  override zero(labels: LabelValues<string>): void {
    this.#seriesOf(labels);
  }

  override async get(): ReturnType<Histogram["get"]> {
    this.#fold();
    const { name, buckets, perUnit } = this.#spec;
    const values = [...this.#series.values()].flatMap(({ labels, counts, sum }) =>
      histogramValues(name, buckets, { labels, counts, sum: sum / perUnit }),
    );
    return { ...describe(this), values };
  }

  /** How prom-client's registry reads a histogram (Registry.getMetricsAsString()). */
  getForPromString(): ReturnType<Histogram["get"]> {
    return this.get();
  }

  /** Adds what was observed since the last time. Several cells may have the same texts. */
  #fold(): void {
    for (let cell = 0; cell < this.#cells.size; cell++) {
      const from = cell * this.#bucketCount;
      const counts = this.#counts.subarray(from, from + this.#bucketCount);
      if (counts.every((count) => count === 0)) continue;
      const series = this.#seriesOf(this.#cells.labelsOf(cell));
      for (const [bucket, count] of counts.entries()) (series.counts[bucket] as number) += count;
      series.sum += this.#sums[cell] as number;
    }
    this.#counts.fill(0);
    this.#sums.fill(0);
  }

  #seriesOf(labels: LabelValues<string>): Series {
    const key = JSON.stringify(Object.keys(this.#spec.labels).map((name) => labels[name]));
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    const series = { labels, counts: new Float64Array(this.#bucketCount), sum: 0 };
    this.#series.set(key, series);
    return series;
  }
}
