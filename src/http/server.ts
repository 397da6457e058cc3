import { createServer as createPlainServer, type RequestListener } from "node:http";
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import { formatListen } from "../config/listen-setting.ts";
import type { Journal } from "../journal/journal.ts";
import type { PortReport } from "../ports/report.schema.ts";
import type { PortReportQuery } from "../ports/report.ts";
import { reasonOf } from "../util/errno.ts";
import { acceptsGzip, negotiateFormat } from "./accept.ts";
import { Guard } from "./access/guard.ts";
import type { AccessRules } from "./access/rules.ts";
import { JSON_TYPE, sendBody, sendJson } from "./body.ts";
import { addRequestChecks } from "./checks.ts";
import type { Client } from "./clients/client.ts";
import { limitConcurrency } from "./clients/limit-concurrency.ts";
import { PeerUids } from "./clients/peer-uids.ts";
import { Connections } from "./connections.ts";
import { connectionsThatFit, DescriptorReserve } from "./descriptors.ts";
import { errorBody, HttpError } from "./errors.ts";
import { HttpServers } from "./http-servers.ts";
import type { OpenListener } from "./listen/open.ts";
import {
  createServeMetrics,
  registerConnections,
  registerJournalMetrics,
  type ServeMetrics,
} from "./metrics.ts";
import { metricsText } from "./metrics-text.ts";
import type { ReadyBody } from "./openapi/answers.schema.ts";
import { readOpenApi } from "./openapi/openapi-file.ts";
import type { Readiness, Status } from "./openapi/status.schema.ts";
import { addPage } from "./page.ts";
import { parseEventQuery, type RawQuery } from "./query/event-query.ts";
import { type FindingRow, parseFindingQuery } from "./query/finding-query.ts";
import { parsePortQuery } from "./query/port-query.ts";
import { OrdinaryDemand } from "./stream/ordinary-demand.ts";
import { streamHeaders } from "./stream/stream.ts";
import { StreamHub } from "./stream/stream-hub.ts";

export interface ServerParts {
  readonly journal: Journal;
  readonly registry: Registry;
  readonly logger: Logger;
  readonly maxClients: number;
  readonly access: AccessRules;
  /** Body of /status. */
  readonly status: () => Promise<Status>;
  readonly ready: () => Readiness;
  /** Body of /ports. */
  readonly portReport: (query: PortReportQuery) => Promise<PortReport>;
  /** Active findings and those closed that are still kept; none by default. */
  readonly findings?: () => readonly FindingRow[];
  /** Passes on whether streams want connects that went as they should; resolves when it is so. */
  readonly wantOrdinary?: ((wanted: boolean) => Promise<void>) | undefined;
  /** Idle streams get a sign of life this often; 15,000 by default. */
  readonly heartbeatMs?: number;
  /** Connections that ask nothing are kept for this long at most; 10,000 by default. */
  readonly headersMs?: number;
  /** Hears of the first stream that is opened, and when there is none any more. */
  readonly onStreamed?: (isStreamed: boolean) => void;
  /** At most; by default as many as streams and file descriptors suggest. */
  readonly maxConnections?: number;
}

export interface TuplewatchServer {
  readonly app: FastifyInstance;
  readonly hub: StreamHub;
  readonly ordinary: OrdinaryDemand;
  readonly servers: HttpServers;
  /** Loads what it will need. */
  prepare(): Promise<void>;
  /** Serves on a socket as well. */
  serve(listener: OpenListener): Promise<void>;
  /** Takes no more connections, and resolves when the last has ended. */
  close(): Promise<void>;
}

const HEARTBEAT_MS = 15_000;

/** Connections beyond the streams: scrapes and the like, and those that have asked nothing yet. */
const SPARE_CONNECTIONS = 2048;

const MAX_SCRAPES = 8;

/** Users and machines that may wait for the report of ports, of which one is made at a time. */
const MAX_WAITING_REPORTS = 8;

type ClientOf = (request: FastifyRequest) => Client;

/** All routes, not listening yet. */
export function createServer(parts: ServerParts): TuplewatchServer {
  const { journal, registry, maxClients } = parts;
  const metrics = createServeMetrics(registry);
  registerJournalMetrics(registry, journal);
  const heartbeatMs = parts.heartbeatMs ?? HEARTBEAT_MS;
  const ordinary = new OrdinaryDemand(parts.wantOrdinary ?? (async () => {}));
  const hub = new StreamHub({ journal, metrics, heartbeatMs }, maxClients, parts.onStreamed);
  const fitting = Math.min(maxClients + SPARE_CONNECTIONS, connectionsThatFit());
  const limit = parts.maxConnections ?? fitting;
  const uids = new PeerUids();
  const reserve = new DescriptorReserve(parts.logger, () => connections);
  const connections = new Connections({
    max: limit,
    uids,
    isScarce: (open) => reserve.isTouchedBy(open),
    onCut: (reason) => metrics.cut.inc({ reason }),
  });
  const clientOf: ClientOf = ({ raw }) => connections.clientOf(raw.socket);
  registerConnections(registry, connections);
  const servers = new HttpServers({
    ...parts,
    connections,
    onAcceptError: ({ wanted }, error) => {
      metrics.acceptErrors.inc();
      const where = formatListen(wanted);
      reserve.complain(`accept a connection on ${where}: ${reasonOf(error)}`);
      connections.giveUp();
    },
  });
  let handler: RequestListener = () => {};
  const app = fastify({
    // Fastify must have one, which never listens: each listener has a server of its own.
    serverFactory: (handle) => {
      handler = handle;
      return createPlainServer();
    },
    frameworkErrors: (error, _request, reply) => {
      sendError(reply, new HttpError(error.statusCode ?? 400, "bad_request", error.message));
    },
  });
  new Guard(parts.access, (request) => servers.listenerOf(request), clientOf).protect(app);
  addRequestChecks(app);
  addAnswers(app, metrics, parts.logger);
  addEvents(app, hub, ordinary, clientOf);
  addFindings(app, parts);
  addPorts(app, parts.portReport, metrics, clientOf);
  addMetrics(app, parts.registry, metrics, clientOf);
  addPlainRoutes(app, parts);
  addPage(app);
  return {
    app,
    hub,
    ordinary,
    servers,
    prepare: async () => {
      await app.ready();
    },
    serve: async (listener) => {
      await app.ready();
      await servers.serve(listener, handler);
    },
    close: async () => {
      await Promise.all([app.close(), servers.close()]);
      reserve.close();
      uids.close();
    },
  };
}

function addMetrics(
  app: FastifyInstance,
  registry: Registry,
  { refused }: ServeMetrics,
  clientOf: ClientOf,
): void {
  const limits = {
    limit: MAX_SCRAPES,
    waiting: 0,
    what: "the text of metrics",
    onRefused: (reason: string) => refused.inc({ what: "metrics", reason }),
  };
  const text = limitConcurrency(limits, () => metricsText(registry));
  app.get("/metrics", async (request, reply) => {
    return sendBody(reply, registry.contentType, await text(clientOf(request), undefined));
  });
}

function addPlainRoutes(app: FastifyInstance, { status, ready }: ServerParts): void {
  app.get("/status", async (_request, reply) => sendJson(reply, await status()));
  app.get("/healthz", async (_request, reply) => sendJson(reply, { status: "ok" }));
  app.get("/readyz", async (_request, reply) => {
    const { ok, ...detail } = ready();
    const body: ReadyBody = { status: ok ? "ready" : "not_ready", ...detail };
    return sendJson(reply.code(ok ? 200 : 503), body);
  });
  const openApi = readOpenApi();
  app.get("/openapi.json", async (_request, reply) => sendBody(reply, JSON_TYPE, openApi));
}

function addFindings(app: FastifyInstance, { findings }: ServerParts): void {
  app.get<{ Querystring: RawQuery }>("/findings", async (request, reply) => {
    const wanted = parseFindingQuery(request.query, Date.now());
    return sendJson(reply, { findings: (findings?.() ?? []).filter(wanted) });
  });
}

function addPorts(
  app: FastifyInstance,
  find: ServerParts["portReport"],
  { refused }: ServeMetrics,
  clientOf: ClientOf,
): void {
  const limits = {
    limit: 1,
    waiting: MAX_WAITING_REPORTS,
    what: "the report of ports",
    onRefused: (reason: string) => refused.inc({ what: "ports", reason }),
  };
  const report = limitConcurrency(limits, find);
  app.get<{ Querystring: RawQuery }>("/ports", async (request, reply) => {
    const query = parsePortQuery(request.query);
    return sendJson(reply, await report(clientOf(request), query));
  });
}

function addEvents(
  app: FastifyInstance,
  hub: StreamHub,
  ordinary: OrdinaryDemand,
  clientOf: ClientOf,
): void {
  app.get<{ Querystring: RawQuery }>("/events", async (request, reply) => {
    const query = parseEventQuery(request.query, lastEventId(request));
    const style = {
      format: negotiateFormat(request.headers.accept),
      gzip: acceptsGzip(request.headers["accept-encoding"]),
    };
    const client = clientOf(request);
    hub.check(client);
    if (request.method !== "HEAD" && query.follow && query.ordinary) {
      reply.raw.once("close", () => ordinary.remove());
      await ordinary.add();
      // Others may have come meanwhile.
      hub.check(client);
    }
    reply.hijack();
    if (request.method === "HEAD") {
      reply.raw.writeHead(200, streamHeaders(style)).end();
    } else if (!reply.raw.destroyed) {
      hub.open(reply.raw, style, query, client);
    }
    return reply;
  });
}

function lastEventId(request: FastifyRequest): string | undefined {
  const value = request.headers["last-event-id"];
  return Array.isArray(value) ? value[0] : value;
}

/** The answer to errors; counts and logs all answers. */
function addAnswers(app: FastifyInstance, metrics: ServeMetrics, logger: Logger): void {
  app.setErrorHandler((error, _request, reply) => {
    if (error instanceof HttpError) {
      return sendError(reply, error);
    }
    logger.error({ err: error }, "a request failed");
    return sendError(
      reply,
      new HttpError(500, "internal_error", "the request failed; see the log"),
    );
  });
  app.addHook("onResponse", async (request, reply) => {
    const route = request.routeOptions.url ?? "other";
    metrics.requests.inc({ route, code: reply.raw.statusCode });
    logger.debug({ method: request.method, route, code: reply.raw.statusCode }, "request");
  });
}

function sendError(reply: FastifyReply, error: HttpError): FastifyReply {
  return reply
    .code(error.status)
    .headers(error.headers)
    .type("application/json; charset=utf-8")
    .send(errorBody(error.code, error.message, error.details));
}
