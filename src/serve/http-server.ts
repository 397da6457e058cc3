import { createServer, type RequestListener, type Server, type ServerOptions } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AccessSource } from "./access/access-source.ts";
import type { Connections } from "./connections.ts";

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
  readonly access: AccessSource;
  readonly connections: Connections;
  readonly headersMs?: number;
}

/** An HTTP server, with TLS if the access rules have it, whose connections are bounded. */
export function createHttpServer(
  handler: RequestListener,
  { access, connections, headersMs = HEADERS_MS }: HttpServerParts,
): Server {
  const { tls } = access.current;
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
  connections.bound(server);
  return server;
}
