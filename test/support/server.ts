import { after } from "node:test";
import { pino } from "pino";
import { Registry } from "prom-client";
import type { Listener } from "../../src/config/listen-setting.ts";
import { defaultConfig } from "../../src/config/load.ts";
import type { AccessConfig } from "../../src/http/access/access.ts";
import { AccessSource } from "../../src/http/access/access-source.ts";
import { type OpenListener, openListeners } from "../../src/http/listen/open.ts";
import { registerBuildInfo } from "../../src/http/metrics.ts";
import type { KernelStatus, Status } from "../../src/http/openapi/status.schema.ts";
import { createServer, type ServerParts, type TuplewatchServer } from "../../src/http/server.ts";
import { Journal, type JournalLimits } from "../../src/journal/journal.ts";
import { NO_LEDGER } from "../../src/ports/ledger.ts";
import { portReport } from "../../src/ports/report.ts";

export interface TestServer {
  readonly journal: Journal;
  readonly port: number;
  /** http://127.0.0.1:PORT */
  readonly url: string;
  readonly app: TuplewatchServer["app"];
  readonly hub: TuplewatchServer["hub"];
  readonly servers: TuplewatchServer["servers"];
  readonly registry: Registry;
  /** Serves on another socket as well. */
  serve: TuplewatchServer["serve"];
  /** The sum of a metric over its labels. */
  total(metric: string): Promise<number>;
}

export const KERNEL_STATUS: KernelStatus = {
  release: "6.12.0",
  libbpf: "1.1",
  probes: [],
  namespace_census: { age_seconds: null, duration_seconds: null, failures: 0, left_out: 0 },
  network_namespaces: [],
};

export const STATUS: Status = {
  version: "0.0.0",
  schema_version: "0.0",
  started_at: "2026-01-02T03:04:05.006Z",
  uptime_seconds: 0,
  ready: { ok: true },
  journal: {
    events: 0,
    bytes: 0,
    view_bytes: 0,
    appended: 0,
    evicted: 0,
    oldest_seq: 1,
    next_seq: 1,
  },
  findings: { active: 0, evicted: 0, refused: 0 },
  stream_clients: 0,
  connect_events: { setting: "all", ordinary: "events" },
  privileges: null,
  kernel: null,
};

export const ROOMY: JournalLimits = { maxEvents: 1_000_000, maxBytes: 1 << 30 };

/** Closes what a test opened when the test is over, also when it failed. */
interface Scope {
  after(close: () => Promise<void>): void;
}

/** The scope of a `describe`; call it there, not in a hook. */
export function suiteScope(): Scope {
  const closers: (() => Promise<void>)[] = [];
  after(async () => {
    await Promise.all(closers.map((close) => close()));
  });
  return { after: (close) => void closers.push(close) };
}

const LOGGER = pino({ level: "silent" });

export const LOOPBACK: Listener = { kind: "tcp", host: "127.0.0.1", port: 0, scope: "all" };

/** As a daemon on 127.0.0.1 that nobody configured, or with `changes`. */
export function accessOf(changes: Partial<AccessConfig> = {}): AccessSource {
  return new AccessSource({ ...defaultConfig(), listen: [LOOPBACK], ...changes }, LOGGER);
}

/** On a free port, which it returns. */
export async function serveOnLoopback({ serve }: TuplewatchServer): Promise<number> {
  const [listener] = await openListeners([LOOPBACK]);
  if (listener === undefined) throw new Error("no listener");
  await serve(listener);
  return portOf(listener);
}

export function portOf({ address }: OpenListener): number {
  if (address.kind !== "tcp") throw new Error("a unix socket has no port");
  return address.port;
}

/** The real server on a free port, until `scope` ends. */
export async function startServer(
  scope: Scope,
  limits: JournalLimits = ROOMY,
  parts: Partial<ServerParts> = {},
): Promise<TestServer> {
  const journal = new Journal(limits);
  const registry = new Registry();
  registerBuildInfo(registry, "0.0.0");
  const server = createServer({
    journal,
    registry,
    logger: LOGGER,
    maxClients: 64,
    access: accessOf(),
    portReport: (query) => portReport(query, NO_LEDGER),
    ready: () => ({ ok: true }),
    status: async () => STATUS,
    ...parts,
  });
  const { app, hub, servers } = server;
  const port = await serveOnLoopback(server);
  scope.after(async () => {
    await hub.endAll(100);
    servers.closeAllConnections();
    await server.close();
    journal.close();
  });
  return {
    journal,
    port,
    url: `http://127.0.0.1:${port}`,
    app,
    hub,
    servers,
    serve: server.serve,
    registry,
    total: async (metric) => {
      const values = (await registry.getSingleMetric(metric)?.get())?.values ?? [];
      return values.reduce((sum, { value }) => sum + value, 0);
    },
  };
}
