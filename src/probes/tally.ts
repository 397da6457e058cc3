import type { Counter } from "prom-client";

/**
 * Counts records by a combination of small numbers, so that a batch of thousands touches the
 * metric once per combination and not once per record.
 */
export class Tally {
  readonly #counter: Counter;
  readonly #labels: (values: readonly number[]) => Record<string, string>;
  readonly #columns: readonly number[];
  readonly #counts = new Map<string, { values: number[]; count: number }>();

  /** `columns`: positions in a row; `labels` gets their values. */
  constructor(
    counter: Counter,
    columns: readonly number[],
    labels: (values: readonly number[]) => Record<string, string>,
  ) {
    this.#counter = counter;
    this.#columns = columns;
    this.#labels = labels;
  }

  add(rows: Float64Array, row: number): void {
    let key = "";
    for (const column of this.#columns) key += `${rows[row + column]},`;
    const known = this.#counts.get(key);
    if (known === undefined) {
      const values = this.#columns.map((column) => rows[row + column] as number);
      this.#counts.set(key, { values, count: 1 });
    } else {
      known.count++;
    }
  }

  flush(): void {
    for (const { values, count } of this.#counts.values()) {
      this.#counter.inc(this.#labels(values), count);
    }
    this.#counts.clear();
  }
}
