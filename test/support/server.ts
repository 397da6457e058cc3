import type { AddressInfo } from "node:net";
import { after } from "node:test";
import { pino } from "pino";
import { Registry } from "prom-client";
import { defaultConfig } from "../../src/config/load.ts";
import { Journal, type JournalLimits } from "../../src/pipeline/journal.ts";
import type { AccessConfig } from "../../src/serve/access/access.ts";
import { AccessSource } from "../../src/serve/access/access-source.ts";
import { registerBuildInfo } from "../../src/serve/metrics.ts";
import { createServer, type ServerParts, type TuplewatchServer } from "../../src/serve/server.ts";
import type { KernelStatus, Status } from "../../src/serve/status.schema.ts";

export interface TestServer {
  readonly journal: Journal;
  readonly port: number;
  /** http://127.0.0.1:PORT */
  readonly url: string;
  readonly app: TuplewatchServer["app"];
  readonly hub: TuplewatchServer["hub"];
  readonly registry: Registry;
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
  stream_clients: 0,
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

/** As a daemon on 127.0.0.1 that nobody configured, or with `changes`. */
export function accessOf(changes: Partial<AccessConfig> = {}): AccessSource {
  const listen = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;
  return new AccessSource({ ...defaultConfig(), listen, ...changes }, LOGGER);
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
  const { app, hub } = createServer({
    journal,
    registry,
    logger: LOGGER,
    maxClients: 64,
    access: accessOf(),
    ready: () => ({ ok: true }),
    status: async () => STATUS,
    ...parts,
  });
  await app.listen({ host: "127.0.0.1", port: 0 });
  const { port } = app.server.address() as AddressInfo;
  scope.after(async () => {
    await hub.endAll(100);
    app.server.closeAllConnections();
    await app.close();
    journal.close();
  });
  return {
    journal,
    port,
    url: `http://127.0.0.1:${port}`,
    app,
    hub,
    registry,
    total: async (metric) => {
      const values = (await registry.getSingleMetric(metric)?.get())?.values ?? [];
      return values.reduce((sum, { value }) => sum + value, 0);
    },
  };
}

/** Waits until `holds`, at most 10 s by default; `what` is asked for when that did not come. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string | (() => string),
  limitMs = 10_000,
): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!(await holds())) {
    if (Date.now() > deadline) {
      throw new Error(
        `not within ${limitMs / 1000} s: ${typeof what === "string" ? what : what()}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
