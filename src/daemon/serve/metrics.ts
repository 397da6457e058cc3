import { Counter, type Registry } from "prom-client";
import { setCounter } from "../../util/set-counter.ts";

export function registerRestarts(registry: Registry, restarts: () => Promise<number>): void {
  new Counter({
    name: "tuplewatch_serving_process_restarts_total",
    help: "Times that the process which serves ended unasked and was started again: no event is lost by it, but those kept for replay and open findings are.",
    registers: [registry],
    async collect() {
      setCounter(this, {}, await restarts());
    },
  });
}
