import type { Counter } from "prom-client";

/** How a label's value is told by a column of a row of numbers. */
export interface ColumnLabel {
  readonly column: number;
  text(value: number): string;
}

/**
 * Counts records by a combination of small numbers, so that a batch of thousands touches the
 * metric once per combination and not once per record.
 */
export class LabelCounter {
  readonly #counter: Counter;
  readonly #labels: readonly (readonly [name: string, label: ColumnLabel])[];
  readonly #amount: number | undefined;
  readonly #counts = new Map<string, { values: number[]; count: number }>();

  /** `amount`: the column that is added up; without it, each row counts 1. */
  constructor(
    counter: Counter,
    labels: Readonly<Record<string, ColumnLabel>>,
    amount?: number | undefined,
  ) {
    this.#counter = counter;
    this.#labels = Object.entries(labels);
    this.#amount = amount;
  }

  add(rows: Float64Array, row: number): void {
    const amount = this.#amount === undefined ? 1 : (rows[row + this.#amount] as number);
    if (amount === 0) return;
    let key = "";
    for (const [, { column }] of this.#labels) key += `${rows[row + column]},`;
    const known = this.#counts.get(key);
    if (known === undefined) {
      const values = this.#labels.map(([, { column }]) => rows[row + column] as number);
      this.#counts.set(key, { values, count: amount });
    } else {
      known.count += amount;
    }
  }

  flush(): void {
    for (const { values, count } of this.#counts.values()) {
      const labels = this.#labels.map(([name, { text }], at) => [name, text(values[at] as number)]);
      this.#counter.inc(Object.fromEntries(labels), count);
    }
    this.#counts.clear();
  }
}
