import { Counter, type Registry } from "prom-client";
import { type ColumnLabels, LabelCells, MAX_CELLS } from "./label-cells.ts";

export interface LabelCounterSpec {
  readonly name: string;
  readonly help: string;
  readonly labels: ColumnLabels;
  /** The column that is added up; without it, each row counts 1. */
  readonly amount?: number | undefined;
}

/** Counts rows of numbers, by labels that some of the numbers tell. */
export class LabelCounter {
  /** What it has counted is in there once the registry is read. */
  readonly counter: Counter;
  readonly #amount: number | undefined;
  readonly #cells: LabelCells;
  readonly #counts = new Float64Array(MAX_CELLS);

  constructor(registry: Registry, { name, help, labels, amount }: LabelCounterSpec) {
    this.#amount = amount;
    this.#cells = new LabelCells(labels, () => this.#fold());
    this.counter = new Counter({
      name,
      help,
      labelNames: Object.keys(labels),
      registers: [registry],
      collect: () => this.#fold(),
    });
  }

  /** `rows` holds `count` rows of `columnCount` numbers. */
  add(rows: Float64Array, count: number, columnCount: number): void {
    const amount = this.#amount;
    const cells = this.#cells;
    const counts = this.#counts;
    for (let index = 0, row = 0; index < count; index++, row += columnCount) {
      const by = amount === undefined ? 1 : (rows[row + amount] as number);
      if (by !== 0) (counts[cells.of(rows, row)] as number) += by;
    }
  }

  #fold(): void {
    for (let cell = 0; cell < this.#cells.size; cell++) {
      const count = this.#counts[cell] as number;
      if (count !== 0) this.counter.inc(this.#cells.labelsOf(cell), count);
    }
    this.#counts.fill(0);
  }
}
