import type { Counter } from "prom-client";

/** Sets a counter to what the kernel, or another counter, says. */
export function setCounter(
  counter: Counter,
  labels: Readonly<Record<string, string>>,
  value: number,
): void {
  counter.remove(labels);
  counter.inc(labels, value);
}
