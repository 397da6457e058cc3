import { enumName, type Names, protocolName } from "../events/fields.ts";

/** A label whose value is told by one column of a record. */
export interface LabelSpec {
  readonly column: number;
  text(value: number): string;
  /** Values whose series begin at 0, before the first record. */
  readonly values: readonly string[];
}

type Labels = Readonly<Record<string, LabelSpec>>;

export interface CounterSpec {
  readonly name: string;
  readonly help: string;
  readonly labels?: Labels;
  /** Column that is added up; absent: records are counted. */
  readonly amount?: number;
  /**
   * Where not every combination of values can come: sets of combinations that begin at 0, each with
   * the values of some labels in place of all.
   */
  readonly begin?: readonly Readonly<Record<string, readonly string[]>>[];
}

export interface HistogramSpec {
  readonly name: string;
  readonly help: string;
  readonly labels: Labels;
  /** Column with the observed value, which is divided by `perUnit`. */
  readonly column: number;
  readonly perUnit: number;
  readonly buckets: readonly number[];
}

export function enumLabel(column: number, names: Names): LabelSpec {
  const values = Object.values(names);
  return { column, text: (value) => enumName(names, value), values };
}

/** Other protocols than TCP and UDP have a series once they are seen. */
export function protocolLabel(column: number): LabelSpec {
  return { column, text: protocolName, values: ["tcp", "udp"] };
}

export function booleanLabel(column: number): LabelSpec {
  return { column, text: (value) => String(value !== 0), values: ["false", "true"] };
}
