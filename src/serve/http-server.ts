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
  headersTimeout: HEADERS_MS,
  requestTimeout: REQUEST_MS,
  keepAliveTimeout: KEEP_ALIVE_MS,
  connectionsCheckingInterval: 1000,
  // The guard answers that itself, in JSON.
  requireHostHeader: false,
};

/** An HTTP server, with TLS if the access rules have it, whose connections are bounded. */
export function createHttpServer(
  handler: RequestListener,
  access: AccessSource,
  connections: Connections,
): Server {
  const { tls } = access.current;
  const server =
    tls === undefined
      ? createServer(OPTIONS, handler)
      : createSecureServer({ ...OPTIONS, ...tls }, handler);
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
