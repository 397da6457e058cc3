import type { IncomingMessage, RequestListener, Server } from "node:http";
import { createHttpServer, type HttpServerParts } from "./http-server.ts";
import type { OpenListener } from "./listen/open.ts";

interface Serving {
  readonly listener: OpenListener;
  readonly server: Server;
}

/** One HTTP server for each listening socket, all with the same handler and limits. */
export class HttpServers {
  readonly #parts: HttpServerParts;
  readonly #serving: Serving[] = [];
  readonly #listenerOf = new WeakMap<IncomingMessage, OpenListener>();

  constructor(parts: HttpServerParts) {
    this.#parts = parts;
  }

  get all(): readonly Server[] {
    return this.#serving.map(({ server }) => server);
  }

  /** The listener by which a request came. */
  listenerOf(request: IncomingMessage): OpenListener {
    const listener = this.#listenerOf.get(request);
    if (listener === undefined) throw new Error("a request came by no listener");
    return listener;
  }

  /** Takes the descriptor over. */
  async serve(listener: OpenListener, handler: RequestListener): Promise<void> {
    const server = createHttpServer(
      (request, response) => {
        this.#listenerOf.set(request, listener);
        handler(request, response);
      },
      listener,
      this.#parts,
    );
    this.#serving.push({ listener, server });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ fd: listener.fd }, () => {
        server.off("error", reject);
        resolve();
      });
    });
    // Of accept(2): the connection waits on, and without a handler the process would end.
    server.on("error", (error) => this.#parts.onAcceptError(listener, error));
  }

  closeAllConnections(): void {
    for (const { server } of this.#serving) server.closeAllConnections();
  }

  /** Takes no more connections, and resolves when the last has ended; idle ones end at once. */
  async close(): Promise<void> {
    const closing = this.#serving.map(({ listener, server }) => {
      listener.removeFile();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    });
    await Promise.all(closing);
  }
}
