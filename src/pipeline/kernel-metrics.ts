import { Counter, type Registry } from "prom-client";
import { CONNTRACK_COUNTERS, readConntrackStats } from "../kernel/conntrack-stats.ts";
import { readChallengeMibs } from "../kernel/netstat.ts";

/** Sets a counter to what the kernel, or another counter, says. */
export function setCounter(
  counter: Counter,
  labels: Readonly<Record<string, string>>,
  value: number,
): void {
  counter.remove(labels);
  counter.inc(labels, value);
}

/**
 * The kernel's own counts beside what the probes saw, in the daemon's network namespace. Read at
 * each scrape. `onError` hears of a read that failed; the scrape then goes without.
 */
export function registerKernelMetrics(registry: Registry, onError: (error: unknown) => void): void {
  const guarded = (read: () => void) => () => {
    try {
      read();
    } catch (error) {
      onError(error);
    }
  };
  registerMibs(registry, guarded);
  registerConntrackStats(registry, guarded);
}

type Guard = (read: () => void) => () => void;

function registerMibs(registry: Registry, guarded: Guard): void {
  new Counter({
    name: "tuplewatch_kernel_tcp_total",
    help: "Counters of /proc/net/netstat (TcpExt) in the daemon's network namespace.",
    labelNames: ["counter"],
    registers: [registry],
    collect() {
      guarded(() => {
        for (const [counter, value] of readChallengeMibs()) setCounter(this, { counter }, value);
      })();
    },
  });
}

function registerConntrackStats(registry: Registry, guarded: Guard): void {
  new Counter({
    name: "tuplewatch_kernel_conntrack_total",
    help: "Conntrack statistics over all CPUs in the daemon's network namespace (conntrack -S).",
    labelNames: ["counter"],
    registers: [registry],
    collect() {
      guarded(() => {
        const stats = readConntrackStats();
        if (stats === undefined) return;
        for (const counter of CONNTRACK_COUNTERS) setCounter(this, { counter }, stats[counter]);
      })();
    },
  });
}
