import { setTimeout as sleep } from "node:timers/promises";
import { memoryFile } from "libbpf-ts";
import { pino } from "pino";
import { type MetricObjectWithValues, type MetricValue, Registry } from "prom-client";
import { notAttached } from "../../src/attach/blindness.ts";
import { NO_EVENTS } from "../../src/attach/counters.ts";
import type { KernelAnswer, StateAnswer } from "../../src/channel/answers.ts";
import { defaultConfig } from "../../src/config/load.ts";
import { type DaemonContext, startDaemon } from "../../src/daemon/daemon.ts";
import { Life } from "../../src/daemon/serve/life.ts";
import { RemoteWatch } from "../../src/daemon/serve/remote-watch.ts";
import { Answers } from "../../src/daemon/watch/answers.ts";
import { createLocateNetns } from "../../src/findings/locate-netns.ts";
import { AccessSource } from "../../src/http/access/access-source.ts";
import { openListeners } from "../../src/http/listen/open.ts";
import { registerProgramStats } from "../../src/intake/program-metrics.ts";
import { NO_LEDGER } from "../../src/ports/ledger.ts";
import { type PortQuery, queryPorts } from "../../src/ports/query.ts";
import { type PortReportQuery, portReport } from "../../src/ports/report.ts";
import { PortSampler } from "../../src/ports/sampler.ts";
import { PROBES } from "../../src/probes/probes.ts";

/** One metric family, as the running daemon has it. */
export interface MetricFamily {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly labels: readonly string[];
  /** Values that each label has in a daemon that has seen nothing yet. */
  readonly values: ReadonlyMap<string, ReadonlySet<string>>;
}

const RETRY_MS = 100;
const MAX_TRIES = 300;

/** Every metric of the daemon, with all probes and nothing attached, by name. */
export async function metricFamilies(): Promise<MetricFamily[]> {
  let registry = new Registry();
  const config = {
    ...defaultConfig(),
    listen: [{ kind: "tcp", host: "127.0.0.1", port: 0, scope: "all" }],
    backend: "counters",
  } as const;
  const logger = pino({ level: "silent" });
  const access = new AccessSource(config, logger);
  const options = {
    listeners: await openListeners(config.listen),
    sources: {
      locateNetns: createLocateNetns(),
      queryPorts: (query: PortQuery) => queryPorts(query, NO_LEDGER),
      portReport: (query: PortReportQuery) => portReport(query, NO_LEDGER),
    },
    started: { at: new Date().toISOString(), bootMs: 0 },
  };
  const daemon = await startDaemon(config, { logger }, access, options, (context) => {
    registry = context.registry;
    // As with --program-stats on; nothing is attached that could be measured.
    registerProgramStats(registry, async () => []);
    return watchNothing(context);
  });
  try {
    const metrics = await settledMetrics(registry);
    return metrics
      .map((metric) => family(registry, metric))
      .sort((one, other) => one.name.localeCompare(other.name, "en"));
  } finally {
    await daemon.stop();
  }
}

/** As the process that serves, with the answers of the privileged one from nearby. */
function watchNothing(context: DaemonContext): RemoteWatch {
  const sampler = new PortSampler({ onError: () => {} });
  const answers = new Answers({
    state: () => STATE,
    kernel: () => KERNEL,
    sampler,
    ledger: NO_LEDGER,
    onOrdinary: () => {},
    onAlive: () => {},
  });
  const life = new Life(memoryFile("metrics"), PROBES.length);
  const watch = new RemoteWatch(context, {
    channel: { ask: (question) => answers.answer({ ...question, id: 0 }) },
    waitingChannel: { ask: () => undefined },
    probes: PROBES.map((probe) => ({ probe, ring: undefined })),
    cgroupPaths: undefined,
    life,
    legacy: life.legacy([]),
    droppedLogLines: () => 0,
  });
  watch.takeState(STATE);
  return watch;
}

const KERNEL: KernelAnswer = { programs: [], connects: [], portBinds: [], conntrack: undefined };

const STATE: StateAnswer = {
  isAttached: true,
  libbpf: "",
  probes: PROBES.map(({ name: probe }) => ({
    probe,
    backend: undefined,
    rejected: [],
    counters: NO_EVENTS,
    blindness: notAttached([]),
  })),
  logLinesDropped: 0,
  privileges: undefined,
  restarts: 0,
};

/** Each may have waited for the scan, or not for long enough. */
const SCANNED = ["tuplewatch_network_namespaces", "tuplewatch_local_ports_available"];

/** The first scan of local ports may take longer than a scrape waits for it. */
async function settledMetrics(
  registry: Registry,
): Promise<MetricObjectWithValues<MetricValue<string>>[]> {
  for (let tries = 0; ; tries++) {
    const metrics = await registry.getMetricsAsJSON();
    const isScanned = SCANNED.every(
      (wanted) => metrics.find(({ name }) => name === wanted)?.values.length !== 0,
    );
    if (isScanned || tries === MAX_TRIES) return metrics;
    await sleep(RETRY_MS);
  }
}

function family(
  registry: Registry,
  { name, type, help, values }: MetricObjectWithValues<MetricValue<string>>,
): MetricFamily {
  // prom-client knows the labels of a metric without values too, but does not declare them.
  const { labelNames } = registry.getSingleMetric(name) as unknown as {
    readonly labelNames: readonly string[];
  };
  const found = new Map(labelNames.map((label) => [label, new Set<string>()]));
  for (const { labels } of values) {
    for (const [label, value] of Object.entries(labels)) found.get(label)?.add(String(value));
  }
  return { name, type: String(type), help, labels: labelNames, values: found };
}
