import { Histogram, type LabelValues, type Registry } from "prom-client";

type Read = ReturnType<Histogram["get"]>;
type Values = Awaited<Read>["values"];

/** One series of a histogram that is not prom-client's own. */
export interface HistogramSeries {
  readonly labels: LabelValues<string>;
  /** Observations up to each bound, and above the last; not cumulative. */
  readonly counts: ArrayLike<number>;
  readonly sum: number;
}

export interface ReadHistogramOptions {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly bounds: readonly number[];
  readonly registry: Registry;
  /** Asked at each scrape. */
  readonly read: () => Promise<readonly HistogramSeries[]>;
}

/** A histogram of what is counted elsewhere: prom-client's own can only observe. */
export class ReadHistogram extends Histogram {
  readonly #options: ReadHistogramOptions;

  constructor(options: ReadHistogramOptions) {
    const { name, help, labelNames, bounds, registry } = options;
    super({ name, help, labelNames, buckets: [...bounds], registers: [registry] });
    this.#options = options;
  }

  override async get(): Read {
    const { name, bounds, read } = this.#options;
    const values = (await read()).flatMap((series) => histogramValues(name, bounds, series));
    return { ...describe(this), values };
  }

  /** How prom-client's registry reads a histogram (Registry.getMetricsAsString()). */
  getForPromString(): Read {
    return this.get();
  }
}

/** What prom-client has of a metric beside its values; its types do not say so. */
export function describe(metric: Histogram): Omit<Awaited<Read>, "values"> {
  const described = metric as unknown as Omit<Awaited<Read>, "values">;
  const { name, help, type, aggregator, collect } = described;
  return { name, help, type, aggregator, collect };
}

/** The lines of a series: cumulated buckets, sum and count. */
export function histogramValues(
  name: string,
  bounds: readonly number[],
  { labels, counts, sum }: HistogramSeries,
): Values {
  let count = 0;
  const cumulated = [...bounds, "+Inf"].map((le, bucket) => {
    count += counts[bucket] ?? 0;
    return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: count };
  });
  return [
    ...cumulated,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
