import { TupleIndex } from "./tuple-index.ts";

/** How a label's value is told by a column of a row of numbers. */
export interface ColumnLabel {
  readonly column: number;
  text(value: number): string;
}

export type ColumnLabels = Readonly<Record<string, ColumnLabel>>;

/** Cells before they are put into their metric and begun anew; some tens are usual. */
export const MAX_CELLS = 256;

/**
 * A cell for each combination of the numbers that tell the labels. Texts are made of them when the
 * metric is read, and not for each row.
 */
export class LabelCells {
  readonly #labels: readonly (readonly [name: string, label: ColumnLabel])[];
  readonly #columns: Int32Array;
  readonly #index: TupleIndex;
  readonly #onFull: () => void;

  /** `onFull` puts all cells into the metric, for they begin anew. */
  constructor(labels: ColumnLabels, onFull: () => void) {
    this.#labels = Object.entries(labels);
    this.#columns = Int32Array.from(this.#labels, ([, { column }]) => column);
    this.#index = new TupleIndex(this.#labels.length, MAX_CELLS);
    this.#onFull = onFull;
  }

  get size(): number {
    return this.#index.size;
  }

  /** The cell of the row that begins at `row`. */
  of(rows: Float64Array, row: number): number {
    const cell = this.#index.indexOf(rows, row, this.#columns);
    if (cell >= 0) return cell;
    this.#onFull();
    this.#index.clear();
    return this.#index.indexOf(rows, row, this.#columns);
  }

  labelsOf(cell: number): Record<string, string> {
    const texts: Record<string, string> = {};
    for (const [place, [name, { text }]] of this.#labels.entries())
      texts[name] = text(this.#index.valueAt(cell, place));
    return texts;
  }
}
