import type { Logger } from "pino";
import { Registry } from "prom-client";
import type { DaemonConfig } from "./config/options.ts";
import { FindingEngine } from "./findings/engine.ts";
import { registerFindingMetrics } from "./findings/metrics.ts";
import { portCensus } from "./findings/port-census.ts";
import { readConntrackTable } from "./kernel/conntrack-stats.ts";
import type { Privileges } from "./kernel/privileges.ts";
import { FindingReport } from "./pipeline/finding-report.ts";
import { Journal } from "./pipeline/journal.ts";
import type { AccessSource } from "./serve/access/access-source.ts";
import { listen } from "./serve/listen.ts";
import { registerBuildInfo } from "./serve/metrics.ts";
import { SCHEMA_VERSION } from "./serve/schema-version.ts";
import { createServer, type TuplewatchServer } from "./serve/server.ts";
import type { JournalStatus, KernelStatus, Readiness } from "./serve/status.schema.ts";
import { readVersion } from "./version.ts";

/**
 * What watches the kernel. It appends batches to the journal between `start` and `stop`, and
 * registers its own metrics on the registry that its factory is given.
 */
export interface KernelStage {
  /** Resolves when all that this kernel permits is attached; rejects if nothing can work. */
  start(journal: Journal): Promise<void>;
  /** Part of the body of /status. */
  status(): Promise<KernelStatus>;
  ready(): Readiness;
  /** Half a sentence. */
  summary(): string;
  stop(): Promise<void>;
}

export interface DaemonContext {
  readonly config: DaemonConfig;
  readonly logger: Logger;
  readonly registry: Registry;
  /** Takes the events that findings are made of. */
  readonly findings: FindingEngine;
}

export type KernelStageFactory = (context: DaemonContext) => KernelStage | Promise<KernelStage>;

export interface Daemon {
  /** `http://127.0.0.1:5961` or `unix:/run/tuplewatch.sock` */
  readonly address: string;
  readonly journal: Journal;
  /** How it goes, in one line. */
  summary(): string;
  /** Ends the streams, then everything else. Safe to call twice. */
  stop(): Promise<void>;
}

type State = "running" | "starting" | "stopping";

/** Connections that have not ended by then are cut. */
const STREAM_END_MS = 2000;

/**
 * Serves first, so that a taken port is found before anything is loaded into the kernel, then
 * starts the kernel stage; /readyz says 503 in between. `dropPrivileges` is called once it is attached.
 */
export async function startDaemon(
  config: DaemonConfig,
  logger: Logger,
  access: AccessSource,
  createKernelStage?: KernelStageFactory,
  dropPrivileges?: () => Privileges,
): Promise<Daemon> {
  const registry = new Registry();
  const journal = new Journal({ maxEvents: config.journalEvents, maxBytes: config.journalBytes });
  const findings = createFindings(config, logger, registry, journal);
  const kernel = await createKernelStage?.({ config, logger, registry, findings });
  const version = readVersion();
  registerBuildInfo(registry, version);
  const startedAt = new Date();
  let state: State = "starting";
  let privileges: Privileges | undefined;
  const server = createServer({
    journal,
    registry,
    logger,
    access,
    maxClients: config.maxClients,
    findings: () => findings.findings(),
    ready: () => readiness(state, kernel),
    status: async () => ({
      version,
      schema_version: SCHEMA_VERSION,
      started_at: startedAt.toISOString(),
      uptime_seconds: Math.round((Date.now() - startedAt.getTime()) / 1000),
      ready: readiness(state, kernel),
      journal: journalStatus(journal),
      stream_clients: server.hub.size,
      privileges: privileges ?? null,
      kernel: (await kernel?.status()) ?? null,
    }),
  });
  const address = await listen(server.app, config.listen, access.current.tls !== undefined);
  const stop = once(() => {
    state = "stopping";
    findings.stop();
    return stopAll(server, access, journal, kernel);
  });
  try {
    findings.start();
    await kernel?.start(journal);
    privileges = dropPrivileges?.();
  } catch (error) {
    await stop();
    throw error;
  }
  state = state === "starting" ? "running" : state;
  logger.info({ address, version, ...privileges }, "serving");
  const summary = () => {
    const active = findings.activeFindings().length;
    const events = `${journal.stats().appendedEvents} events, ${active} active findings`;
    return `serving on ${address}: ${kernel?.summary() ?? "no probe"}; ${events}`;
  };
  return { address, journal, summary, stop };
}

function createFindings(
  config: DaemonConfig,
  logger: Logger,
  registry: Registry,
  journal: Journal,
): FindingEngine {
  const findings = new FindingEngine({
    sink: new FindingReport(journal, logger),
    quietMs: config.findingQuietSeconds * 1000,
    environment: { conntrackTable: readConntrackTable },
    census: portCensus,
  });
  registerFindingMetrics(registry, findings);
  return findings;
}

const REASONS = {
  starting: "probes are being attached",
  stopping: "the daemon is stopping",
} as const;

function readiness(state: State, kernel: KernelStage | undefined): Readiness {
  if (kernel === undefined) {
    return { ok: false, reason: "no probe is part of this build" };
  }
  return state === "running" ? kernel.ready() : { ok: false, reason: REASONS[state] };
}

function journalStatus(journal: Journal): JournalStatus {
  const stats = journal.stats();
  return {
    events: stats.events,
    bytes: stats.bytes,
    view_bytes: stats.viewBytes,
    appended: stats.appendedEvents,
    evicted: stats.evictedEvents,
    oldest_seq: stats.oldestSeq,
    next_seq: stats.nextSeq,
  };
}

/**
 * Streams first: closing an HTTP server destroys connections whose response has ended, also while
 * its last bytes are queued (Node's closeIdleConnections). Other requests get the rest of the time.
 */
async function stopAll(
  { app, hub }: TuplewatchServer,
  access: AccessSource,
  journal: Journal,
  kernel: KernelStage | undefined,
): Promise<void> {
  const cut = setTimeout(() => app.server.closeAllConnections(), STREAM_END_MS);
  await hub.endAll(STREAM_END_MS);
  await app.close();
  access.close();
  clearTimeout(cut);
  await kernel?.stop();
  journal.close();
}

function once(stop: () => Promise<void>): () => Promise<void> {
  let stopping: Promise<void> | undefined;
  return () => {
    stopping ??= stop();
    return stopping;
  };
}
