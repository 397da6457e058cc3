import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { type Client, clientOf } from "./clients/client.ts";
import { ClientCounts } from "./clients/client-counts.ts";
import type { PeerUids } from "./clients/peer-uids.ts";

/** Why one was cut: without a request, of a client that held more than others, or for its descriptor. */
export type CutReason = "descriptors" | "no_request" | "too_many";

export interface ConnectionParts {
  /** At most. */
  readonly max: number;
  readonly uids: PeerUids;
  /** Whether one more than so many takes one of the last descriptors. */
  readonly isScarce: (open: number) => boolean;
  /** Called for each connection that is cut to make room. */
  readonly onCut: (reason: CutReason) => void;
}

interface Connection {
  readonly key: string;
  readonly socket: Socket;
  readonly client: Client;
}

/** For whom no connection is, who has none. */
const NOBODY: Client = { owner: "", address: "" };

const UNKNOWN: Client = { owner: "unknown", address: "unknown" };

/**
 * Bounds the connections of all servers. When there is no room left, one gives way: of the client
 * that holds most, if that is more than the newcomer has, else the one that has been without a
 * request for longest, of those who hold no less than the newcomer. So neither whoever opens many
 * nor whoever takes his answers slowly keeps others out. Node's `maxConnections` alone would turn
 * away those who come after.
 */
export class Connections {
  readonly #max: number;
  readonly #uids: PeerUids;
  readonly #isScarce: (open: number) => boolean;
  readonly #onCut: (reason: CutReason) => void;
  readonly #counts = new ClientCounts();
  /** In the order in which they were opened. */
  readonly #open = new Map<string, Connection>();
  /** Those without a request, in the order in which they began to wait for one. */
  readonly #waiting = new Map<string, Connection>();

  constructor({ max, uids, isScarce, onCut }: ConnectionParts) {
    this.#max = max;
    this.#uids = uids;
    this.#isScarce = isScarce;
    this.#onCut = onCut;
  }

  get open(): number {
    return this.#open.size;
  }

  /** Of a connection's socket, or of the TLS socket on it. */
  clientOf(socket: Socket): Client {
    return this.#open.get(keyOf(socket))?.client ?? UNKNOWN;
  }

  bound(server: Server): void {
    server.on("connection", (socket: Socket) => this.#opened(socket));
    server.on("request", (request: IncomingMessage, response: ServerResponse) =>
      this.#requested(request.socket, response),
    );
  }

  #opened(socket: Socket): void {
    const key = keyOf(socket);
    const client = clientOf(socket, this.#uids);
    const connection = { key, socket, client };
    const isScarce = this.#isScarce(this.#open.size + 1);
    const isFull = isScarce || this.#open.size >= this.#max;
    if (isFull && !this.#makeRoom(client, isScarce)) {
      this.#cut(connection, isScarce ? "descriptors" : "no_request");
      return;
    }
    this.#open.set(key, connection);
    this.#waiting.set(key, connection);
    this.#counts.add(client);
    socket.once("close", () => this.#closed(connection));
  }

  #closed(connection: Connection): void {
    const { key } = connection;
    if (this.#open.get(key) !== connection) return;
    this.#open.delete(key);
    this.#waiting.delete(key);
    this.#counts.remove(connection.client);
  }

  #requested(socket: Socket, response: ServerResponse): void {
    const key = keyOf(socket);
    this.#waiting.delete(key);
    response.once("close", () => {
      const connection = this.#open.get(key);
      if (connection !== undefined && !connection.socket.destroyed) {
        this.#waiting.set(key, connection);
      }
    });
  }

  /** Ends one for want of descriptors, of the client that holds most; false if there is none. */
  giveUp(): boolean {
    return this.#makeRoom(NOBODY, true);
  }

  /** False if nobody should give way to the newcomer. */
  #makeRoom(newcomer: Client, isScarce: boolean): boolean {
    const greediest = this.#counts.greediest(newcomer);
    const gives = ({ client }: Connection): boolean =>
      greediest === undefined
        ? this.#counts.holdsNoLess(client, newcomer)
        : client.owner === greediest.owner && client.address === greediest.address;
    const waiting = [...this.#waiting.values()].find(gives);
    if (waiting !== undefined) {
      this.#cut(waiting, isScarce ? "descriptors" : "no_request");
      return true;
    }
    const mustGive = greediest !== undefined || newcomer === NOBODY;
    const newest = mustGive ? [...this.#open.values()].findLast(gives) : undefined;
    if (newest !== undefined) this.#cut(newest, isScarce ? "descriptors" : "too_many");
    return newest !== undefined;
  }

  #cut(connection: Connection, reason: CutReason): void {
    this.#onCut(reason);
    this.#closed(connection);
    connection.socket.destroy();
  }
}

let unnamed = 0;
const names = new WeakMap<Socket, string>();

/** The same for a TCP connection and the TLS socket on it, which is another object. */
function keyOf(socket: Socket): string {
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  if (remoteAddress !== undefined) {
    return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
  }
  const name = names.get(socket) ?? `unix ${++unnamed}`;
  names.set(socket, name);
  return name;
}
