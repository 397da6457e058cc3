import type { Logger } from "pino";
import { Registry } from "prom-client";
import type { Started } from "../channel/answers.ts";
import type { DaemonConfig } from "../config/options.ts";
import { FindingEngine } from "../findings/engine.ts";
import { type LocateNetns, rememberPlaces } from "../findings/locate-netns.ts";
import { registerFindingMetrics } from "../findings/metrics.ts";
import { FindingReport } from "../findings/report.ts";
import type { AccessRules } from "../http/access/rules.ts";
import type { OpenListener } from "../http/listen/open.ts";
import { urlOf } from "../http/listen/url.ts";
import { registerBuildInfo } from "../http/metrics.ts";
import { SCHEMA_VERSION } from "../http/openapi/schema-version.ts";
import type {
  JournalStatus,
  KernelStatus,
  Privileges,
  Readiness,
} from "../http/openapi/status.schema.ts";
import { createServer, type TuplewatchServer } from "../http/server.ts";
import { Journal } from "../journal/journal.ts";
import { WallClock } from "../kernel/clock.ts";
import { readConntrackTable } from "../kernel/conntrack-stats.ts";
import type { QueryPorts } from "../ports/query.ts";
import type { PortReport } from "../ports/report.schema.ts";
import type { PortReportQuery } from "../ports/report.ts";
import { MS_PER_SECOND } from "../util/units.ts";
import type { Log } from "./log/logger.ts";
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
  /** Events are read as they come, or no longer. */
  setStreamed?(isStreamed: boolean): void;
  /** Undefined until all is attached, or where there is no other process. */
  privileges?(): Privileges | undefined;
  stop(): Promise<void>;
}

export interface DaemonContext {
  readonly config: DaemonConfig;
  readonly logger: Logger;
  readonly registry: Registry;
  /** Takes the events that findings are made of. */
  readonly findings: FindingEngine;
  readonly clock: WallClock;
}

export type KernelStageFactory = (context: DaemonContext) => KernelStage | Promise<KernelStage>;

export interface Daemon {
  /** The first: `http://127.0.0.1:5961` or `unix:/run/tuplewatch.sock` */
  readonly address: string;
  readonly journal: Journal;
  readonly findings: FindingEngine;
  /** Ends the streams, then everything else. Safe to call twice. */
  stop(): Promise<void>;
}

type State = "running" | "starting" | "stopping";

/** What takes rights to look at. */
export interface KernelSources {
  readonly locateNetns: LocateNetns;
  readonly queryPorts: QueryPorts;
  readonly portReport: (query: PortReportQuery) => Promise<PortReport>;
}

export interface DaemonOptions {
  readonly listeners: readonly OpenListener[];
  readonly sources: KernelSources;
  readonly started: Started;
  /** Whether streams want connects that went as they should; resolves when they will be events. */
  readonly wantOrdinary?: (wanted: boolean) => Promise<void>;
  /** Of the journal. */
  readonly firstSeq?: number;
  readonly onAppend?: () => void;
  /** Called once all is loaded, before anything is taken from outside. */
  readonly beforeServing?: () => void;
}

/** Connections that have not ended by then are cut. */
const STREAM_END_MS = 2000;

/**
 * Serves first, so that a taken port is found before anything is loaded into the kernel, then
 * starts the kernel stage; /readyz says 503 in between.
 */
export async function startDaemon(
  config: DaemonConfig,
  { logger }: Pick<Log, "logger">,
  access: AccessRules,
  options: DaemonOptions,
  createKernelStage?: KernelStageFactory,
): Promise<Daemon> {
  const { listeners, sources, started, firstSeq = 1, onAppend = () => {} } = options;
  const registry = new Registry();
  const limits = { maxEvents: config.journalEvents, maxBytes: config.journalBytes };
  const journal = new Journal({ ...limits, firstSeq, onAppend });
  const clock = new WallClock();
  const findings = createFindings({ config, logger, registry, clock }, journal, sources);
  clock.onStep((byMs) => {
    logger.warn({ byMs: Math.round(byMs) }, "the wall clock was set");
    findings.shiftTimes(byMs);
  });
  const kernel = await createKernelStage?.({ config, logger, registry, findings, clock });
  const version = readVersion();
  registerBuildInfo(registry, version);
  let state: State = "starting";
  const server = createServer({
    journal,
    registry,
    logger,
    access,
    maxClients: config.maxClients,
    onStreamed: (isStreamed) => kernel?.setStreamed?.(isStreamed),
    portReport: sources.portReport,
    wantOrdinary: options.wantOrdinary,
    findings: () => findings.findings(),
    ready: () => readiness(state, kernel),
    status: async () => ({
      version,
      schema_version: SCHEMA_VERSION,
      started_at: started.at,
      uptime_seconds: Math.round((clock.nowMs() - started.bootMs) / MS_PER_SECOND),
      ready: readiness(state, kernel),
      journal: journalStatus(journal),
      findings: {
        active: findings.activeCount,
        evicted: findings.evicted,
        refused: findings.refused,
      },
      stream_clients: server.hub.size,
      connect_events: {
        setting: config.connectEvents,
        ordinary: ordinaryAre(config.connectEvents, server.ordinary.wanted),
      },
      privileges: kernel?.privileges?.() ?? null,
      kernel: (await kernel?.status()) ?? null,
    }),
  });
  await server.prepare();
  options.beforeServing?.();
  for (const listener of listeners) await server.serve(listener);
  const [address = "", ...others] = listeners.map((listener) => urlOf(listener, access.current));
  const stop = once(() => {
    state = "stopping";
    findings.stop();
    return stopAll(server, access, journal, kernel);
  });
  try {
    findings.start();
    await kernel?.start(journal);
  } catch (error) {
    await stop();
    throw error;
  }
  state = state === "starting" ? "running" : state;
  const also = others.length > 0 && { others };
  logger.info({ address, ...also, version, ...kernel?.privileges?.() }, "serving");
  return { address, journal, findings, stop };
}

function ordinaryAre(
  setting: DaemonConfig["connectEvents"],
  wanted: boolean,
): "events" | "counted" {
  return setting === "all" || (setting === "auto" && wanted) ? "events" : "counted";
}

function createFindings(
  { config, logger, registry, clock }: Omit<DaemonContext, "findings">,
  journal: Journal,
  { locateNetns, queryPorts }: KernelSources,
): FindingEngine {
  const findings = new FindingEngine({
    sink: new FindingReport(journal, logger),
    quietMs: config.findingQuietSeconds * MS_PER_SECOND,
    clock,
    environment: {
      conntrackTable: readConntrackTable,
      locateNetns: rememberPlaces(locateNetns),
    },
    queryPorts,
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
  server: TuplewatchServer,
  access: AccessRules,
  journal: Journal,
  kernel: KernelStage | undefined,
): Promise<void> {
  const cut = setTimeout(() => server.servers.closeAllConnections(), STREAM_END_MS);
  await server.hub.endAll(STREAM_END_MS);
  await server.close();
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
