import { Counter, type Registry } from "prom-client";
import { registerConnectMetrics } from "../../intake/connect-metrics.ts";
import { registerPortBindMetrics } from "../../intake/port-bind-metrics.ts";
import { registerMissedRuns, registerProgramStats } from "../../intake/program-metrics.ts";
import { registerKernelMetrics } from "../../kernel/metrics.ts";
import { setCounter } from "../../util/set-counter.ts";
import { registerLogMetrics } from "../log/metrics.ts";
import type { RemoteState } from "./remote-state.ts";

export interface RemoteMetricsOptions {
  readonly hasProgramStats: boolean;
  /** Of this process. */
  readonly droppedLogLines: () => number;
  readonly onError: (error: unknown) => void;
}

/** What the privileged process counts, asked for at each scrape. */
export function registerRemoteMetrics(
  registry: Registry,
  state: RemoteState,
  { hasProgramStats, droppedLogLines, onError }: RemoteMetricsOptions,
): void {
  const programs = async () => (await state.askKernel()).programs;
  registerKernelMetrics(registry, async () => (await state.askKernel()).conntrack, onError);
  registerMissedRuns(registry, programs);
  if (hasProgramStats) registerProgramStats(registry, programs);
  registerConnectMetrics(registry, async () => (await state.askKernel()).connects);
  registerPortBindMetrics(registry, async () => (await state.askKernel()).portBinds);
  const logLines = async () => (await state.ask()).logLinesDropped + droppedLogLines();
  registerLogMetrics(registry, logLines);
  registerRestarts(registry, async () => (await state.ask()).restarts);
}

function registerRestarts(registry: Registry, restarts: () => Promise<number>): void {
  new Counter({
    name: "tuplewatch_serving_process_restarts_total",
    help: "Times that the process which serves ended unasked and was started again: no event is lost by it, but those kept for replay and open findings are.",
    registers: [registry],
    async collect() {
      setCounter(this, {}, await restarts());
    },
  });
}
