import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/**
 * Bounds the connections of a server. When there is no room left, the connection that has been
 * without a request for longest makes some: whoever opens many and sends nothing takes the place
 * of nobody else. Node's `maxConnections` alone would turn away those who come after.
 */
export class Connections {
  readonly #max: number;
  readonly #onDropped: () => void;
  /** In the order in which they began to wait for a request. */
  readonly #waiting = new Map<string, Socket>();
  #open = 0;

  /** `onDropped` is called for each connection that is cut to make room. */
  constructor(max: number, onDropped: () => void) {
    this.#max = max;
    this.#onDropped = onDropped;
  }

  get open(): number {
    return this.#open;
  }

  bound(server: Server): void {
    server.on("connection", (socket: Socket) => this.#opened(socket));
    server.on("request", (request: IncomingMessage, response: ServerResponse) =>
      this.#requested(request.socket, response),
    );
  }

  #opened(socket: Socket): void {
    const key = keyOf(socket);
    this.#open += 1;
    this.#waiting.set(key, socket);
    socket.once("close", () => {
      this.#open -= 1;
      if (this.#waiting.get(key) === socket) this.#waiting.delete(key);
    });
    if (this.#open > this.#max) this.#makeRoom(socket);
  }

  #requested(socket: Socket, response: ServerResponse): void {
    const key = keyOf(socket);
    const raw = this.#waiting.get(key);
    this.#waiting.delete(key);
    response.once("close", () => {
      if (raw !== undefined && !raw.destroyed) this.#waiting.set(key, raw);
    });
  }

  #makeRoom(newest: Socket): void {
    const [oldest = newest] = this.#waiting.values();
    this.#onDropped();
    oldest.destroy();
  }
}

let unnamed = 0;
const names = new WeakMap<Socket, string>();

/** The same for a TCP connection and the TLS socket on it, which is another object. */
function keyOf(socket: Socket): string {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress !== undefined) return `${remoteAddress} ${remotePort}`;
  const name = names.get(socket) ?? `unix ${++unnamed}`;
  names.set(socket, name);
  return name;
}
