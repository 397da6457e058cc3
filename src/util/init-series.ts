import type { Counter } from "prom-client";

/**
 * Gives a counter's label sets the value 0 before anything is counted: rate() and increase() do not
 * see the step from no series to the first value, which may be the only one.
 * `labels` has the values that each label may take; every combination becomes a series.
 */
export function initLabels(
  counter: Counter,
  labels: Readonly<Record<string, Iterable<string>>>,
): void {
  for (const one of combinations(labels)) counter.inc(one, 0);
}

/** Each way to give each label one of its values. */
export function combinations(
  labels: Readonly<Record<string, Iterable<string>>>,
): Record<string, string>[] {
  let found: Record<string, string>[] = [{}];
  for (const [label, values] of Object.entries(labels)) {
    found = found.flatMap((one) => [...values].map((value) => ({ ...one, [label]: value })));
  }
  return found;
}
