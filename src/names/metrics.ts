import { Counter, type Registry } from "prom-client";
import { setCounter } from "../util/set-counter.ts";
import type { NetnsNames } from "./netns.ts";

/** Registers how often a name is absent for another reason than that there is none. */
export function registerNameMetrics(registry: Registry, netns: NetnsNames): void {
  new Counter({
    name: "tuplewatch_netns_names_missed_total",
    help: "Names of network namespaces that events lack: not looked for, as there were too many at once, or refused.",
    labelNames: ["reason"],
    registers: [registry],
    collect() {
      setCounter(this, { reason: "rate" }, netns.skipped);
      setCounter(this, { reason: "refused" }, netns.failed);
    },
  });
}
