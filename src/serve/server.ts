import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import { portReport } from "../enrich/port-report.ts";
import type { Journal } from "../pipeline/journal.ts";
import { acceptsGzip, negotiateFormat } from "./accept.ts";
import type { AccessSource } from "./access/access-source.ts";
import { Guard } from "./access/guard.ts";
import type { ReadyBody } from "./answers.schema.ts";
import { atMost } from "./at-most.ts";
import { JSON_TYPE, sendBody, sendJson } from "./body.ts";
import { addRequestChecks } from "./checks.ts";
import { Connections } from "./connections.ts";
import { connectionsThatFit } from "./descriptors.ts";
import { answerBrokenRequests, errorBody, HttpError } from "./errors.ts";
import { type FindingRow, parseFindingQuery } from "./finding-query.ts";
import { createHttpServer } from "./http-server.ts";
import {
  createServeMetrics,
  registerConnections,
  registerJournalMetrics,
  type ServeMetrics,
} from "./metrics.ts";
import { readOpenApi } from "./openapi-file.ts";
import { addPage } from "./page.ts";
import { parsePortQuery } from "./port-query.ts";
import { parseEventQuery, type RawQuery } from "./query.ts";
import type { Readiness, Status } from "./status.schema.ts";
import { streamHeaders } from "./stream.ts";
import { StreamHub } from "./stream-hub.ts";

export interface ServerParts {
  readonly journal: Journal;
  readonly registry: Registry;
  readonly logger: Logger;
  readonly maxClients: number;
  readonly access: AccessSource;
  /** Body of /status. */
  readonly status: () => Promise<Status>;
  readonly ready: () => Readiness;
  /** Active findings and those closed that are still kept; none by default. */
  readonly findings?: () => readonly FindingRow[];
  /** Idle streams get a sign of life this often; 15,000 by default. */
  readonly heartbeatMs?: number;
  /** Connections that ask nothing are kept for this long at most; 10,000 by default. */
  readonly headersMs?: number;
  /** At most; by default as many as streams and file descriptors suggest. */
  readonly maxConnections?: number;
}

export interface TuplewatchServer {
  readonly app: FastifyInstance;
  readonly hub: StreamHub;
}

const HEARTBEAT_MS = 15_000;

/** Connections beyond the streams: scrapes and the like, and those that have asked nothing yet. */
const SPARE_CONNECTIONS = 2048;

const MAX_SCRAPES = 8;

/** All routes, not listening yet. */
export function createServer(parts: ServerParts): TuplewatchServer {
  const { journal, registry, maxClients } = parts;
  const metrics = createServeMetrics(registry);
  registerJournalMetrics(registry, journal);
  const heartbeatMs = parts.heartbeatMs ?? HEARTBEAT_MS;
  const hub = new StreamHub({ journal, metrics, heartbeatMs }, maxClients);
  const fitting = Math.min(maxClients + SPARE_CONNECTIONS, connectionsThatFit());
  const limit = parts.maxConnections ?? fitting;
  const connections = new Connections(limit, () => metrics.cut.inc());
  registerConnections(registry, connections);
  const app = fastify({
    serverFactory: (handler) => createHttpServer(handler, { ...parts, connections }),
    forceCloseConnections: "idle",
    clientErrorHandler: answerBrokenRequests,
    frameworkErrors: (error, _request, reply) => {
      sendError(reply, new HttpError(error.statusCode ?? 400, "bad_request", error.message));
    },
  });
  new Guard(parts.access).protect(app);
  addRequestChecks(app);
  addAnswers(app, metrics, parts.logger);
  addEvents(app, hub);
  addFindings(app, parts);
  addPorts(app);
  addPlainRoutes(app, parts);
  addPage(app);
  return { app, hub };
}

function addPlainRoutes(app: FastifyInstance, { registry, status, ready }: ServerParts): void {
  const metrics = atMost(MAX_SCRAPES, "the text of metrics", () => registry.metrics());
  app.get("/metrics", async (_request, reply) => {
    return sendBody(reply, registry.contentType, await metrics(undefined));
  });
  app.get("/status", async (_request, reply) => sendJson(reply, await status()));
  app.get("/healthz", async (_request, reply) => sendJson(reply, { status: "ok" }));
  app.get("/readyz", async (_request, reply) => {
    const { ok, reason } = ready();
    return ok ? sendJson(reply, { status: "ready" }) : sendJson(reply.code(503), notReady(reason));
  });
  const openApi = readOpenApi();
  app.get("/openapi.json", async (_request, reply) => sendBody(reply, JSON_TYPE, openApi));
}

function notReady(reason: string | undefined): ReadyBody {
  return { status: "not_ready", ...(reason !== undefined && { reason }) };
}

function addFindings(app: FastifyInstance, { findings }: ServerParts): void {
  app.get<{ Querystring: RawQuery }>("/findings", async (request, reply) => {
    const wanted = parseFindingQuery(request.query, Date.now());
    return sendJson(reply, { findings: (findings?.() ?? []).filter(wanted) });
  });
}

function addPorts(app: FastifyInstance): void {
  const report = atMost(1, "the report of ports", portReport);
  app.get<{ Querystring: RawQuery }>("/ports", async (request, reply) => {
    return sendJson(reply, await report(parsePortQuery(request.query)));
  });
}

function addEvents(app: FastifyInstance, hub: StreamHub): void {
  app.get<{ Querystring: RawQuery }>("/events", (request, reply) => {
    const query = parseEventQuery(request.query, lastEventId(request));
    const style = {
      format: negotiateFormat(request.headers.accept),
      gzip: acceptsGzip(request.headers["accept-encoding"]),
    };
    hub.admit();
    reply.hijack();
    if (request.method === "HEAD") {
      reply.raw.writeHead(200, streamHeaders(style)).end();
    } else {
      hub.open(reply.raw, style, query);
    }
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
