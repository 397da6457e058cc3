import { Counter, type Registry } from "prom-client";
import { setCounter } from "../../util/set-counter.ts";

export function registerLogMetrics(registry: Registry, droppedLines: () => Promise<number>): void {
  new Counter({
    name: "tuplewatch_log_lines_dropped_total",
    help: "Log lines that nobody will read, because stderr took no more: a reader that stalls, a full disk.",
    registers: [registry],
    async collect() {
      setCounter(this, {}, await droppedLines());
    },
  });
}
