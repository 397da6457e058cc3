import { createServer, type RequestListener, type Server, type ServerOptions } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AccessRules } from "./access/rules.ts";
import type { Connections } from "./connections.ts";
import { answerBrokenRequests } from "./errors.ts";
import type { OpenListener } from "./listen/open.ts";

/** Until a request must have arrived; streams may last. */
const HEADERS_MS = 10_000;
const REQUEST_MS = 15_000;

/** For clients that do not take their answer, and idle connections. Streams have their own. */
const SOCKET_MS = 60_000;
const KEEP_ALIVE_MS = 72_000;

const OPTIONS: ServerOptions = {
  maxHeaderSize: 16 * 1024,
  requestTimeout: REQUEST_MS,
  keepAliveTimeout: KEEP_ALIVE_MS,
  connectionsCheckingInterval: 1000,
  // The guard answers that itself, in JSON.
  requireHostHeader: false,
};

export interface HttpServerParts {
  readonly access: AccessRules;
  readonly connections: Connections;
  readonly headersMs?: number;
  /** A connection could not be taken. */
  readonly onAcceptError: (listener: OpenListener, error: Error) => void;
}

/**
 * An HTTP server whose connections are bounded, with TLS if the access rules have it. Not on unix
 * sockets: what travels there leaves the kernel nowhere, and the file's rights say who may connect.
 */
export function createHttpServer(
  handler: RequestListener,
  { address }: OpenListener,
  { access, connections, headersMs = HEADERS_MS }: HttpServerParts,
): Server {
  const tls = address.kind === "unix" ? undefined : access.current.tls;
  const options = { ...OPTIONS, headersTimeout: headersMs };
  const server =
    tls === undefined
      ? createServer(options, handler)
      : createSecureServer({ ...options, ...tls }, handler);
  if (tls !== undefined) {
    access.onChange((changed) => {
      if (changed.tls !== undefined && "setSecureContext" in server) {
        server.setSecureContext(changed.tls);
      }
    });
  }
  // Node would silently leave out what is beyond; the size bounds it and the guard counts it.
  server.maxHeadersCount = 0;
  server.setTimeout(SOCKET_MS);
  server.on("clientError", answerBrokenRequests);
  connections.bound(server);
  return server;
}
