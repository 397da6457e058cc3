import { Counter, type Registry } from "prom-client";
import { setCounter } from "../util/set-counter.ts";
import { CONNTRACK_COUNTERS, type ConntrackStats } from "./conntrack-stats.ts";
import { readChallengeMibs } from "./netstat.ts";

/**
 * The kernel's own counts beside what the probes saw, in the daemon's network namespace. Read at
 * each scrape. `onError` hears of a read that failed; the scrape then goes without.
 */
export function registerKernelMetrics(
  registry: Registry,
  conntrack: ConntrackSource,
  onError: (error: unknown) => void,
): void {
  registerMibs(registry, onError);
  registerConntrackStats(registry, conntrack);
}

/** Undefined while conntrack is not loaded, or where it cannot be read. */
export type ConntrackSource = () => Promise<ConntrackStats | undefined>;

function registerMibs(registry: Registry, onError: (error: unknown) => void): void {
  new Counter({
    name: "tuplewatch_kernel_tcp_total",
    help: "Counters of /proc/net/netstat (TcpExt) in the daemon's network namespace.",
    labelNames: ["counter"],
    registers: [registry],
    collect() {
      try {
        for (const [counter, value] of readChallengeMibs()) setCounter(this, { counter }, value);
      } catch (error) {
        onError(error);
      }
    },
  });
}

function registerConntrackStats(registry: Registry, conntrack: ConntrackSource): void {
  new Counter({
    name: "tuplewatch_kernel_conntrack_total",
    help: "Conntrack statistics over all CPUs in the daemon's network namespace (conntrack -S).",
    labelNames: ["counter"],
    registers: [registry],
    async collect() {
      const stats = await conntrack();
      if (stats === undefined) return;
      for (const counter of CONNTRACK_COUNTERS) setCounter(this, { counter }, stats[counter]);
    },
  });
}
