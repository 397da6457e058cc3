import type { ServerResponse } from "node:http";
import type { Client } from "../clients/client.ts";
import { ClientCounts } from "../clients/client-counts.ts";
import { HttpError } from "../errors.ts";
import type { EventQuery } from "../query/event-query.ts";
import { FairScheduler } from "./fair-scheduler.ts";
import { EventStream, type StreamContext, type StreamStyle } from "./stream.ts";

/** Seconds after which a refused client may try again. */
const RETRY_AFTER_S = 5;

/** A client that takes no byte for so long, not even the signs of life, is gone or stuck. */
const STALLED_MS = 300_000;

/** A stream that gave way has this long to end in order. */
const DISPLACED_MS = 2000;

interface OpenStream {
  readonly stream: EventStream;
  readonly client: Client;
  readonly response: ServerResponse;
}

/**
 * All open streams. When all are in use, whoever has fewer than the greediest client gets one of
 * that client's: it can connect again and goes on where it was, without a loss, and no client,
 * however many streams it holds, keeps others out. Its newest gives way, since who shares its
 * address was there first. A fixed share for each would be too little for a proxy and, with enough
 * addresses, no protection.
 */
export class StreamHub {
  readonly #context: StreamContext;
  readonly #maxClients: number;
  /** In the order in which they were opened. */
  readonly #streams = new Set<OpenStream>();
  readonly #counts = new ClientCounts();
  readonly #onStreamed: (isStreamed: boolean) => void;
  #closing = false;
  #emptied = () => {};

  /** `onStreamed` hears of the first stream, and when there is none any more. */
  constructor(
    context: Omit<StreamContext, "scheduler">,
    maxClients: number,
    onStreamed: (isStreamed: boolean) => void = () => {},
  ) {
    this.#onStreamed = onStreamed;
    this.#context = { ...context, scheduler: new FairScheduler() };
    this.#maxClients = maxClients;
  }

  get size(): number {
    return this.#streams.size;
  }

  /** @throws HttpError with status 503 when there is no stream for this client */
  check(client: Client): void {
    const { refused } = this.#context.metrics;
    if (this.#closing) {
      refused.inc({ what: "stream", reason: "stopping" });
      throw tooMany("the daemon is stopping");
    }
    if (this.#streams.size < this.#maxClients) return;
    if (this.#counts.greediest(client) !== undefined) return;
    refused.inc({ what: "stream", reason: "full" });
    const held = this.#counts.ofOwner(client);
    const ofThem = held === 0 ? "by as many clients" : `${held} of them by this client`;
    throw tooMany(`all ${this.#maxClients} event streams are in use, ${ofThem} (--max-clients)`);
  }

  /** Streams to `response` until either side ends; call `check` before. */
  open(response: ServerResponse, style: StreamStyle, query: EventQuery, client: Client): void {
    if (this.#streams.size >= this.#maxClients) this.#makeRoom(client);
    response.setTimeout(STALLED_MS);
    const stream = new EventStream(response, style, query, this.#context);
    const open = { stream, client, response };
    this.#streams.add(open);
    this.#counts.add(client);
    this.#context.metrics.clients.set(this.#streams.size);
    if (this.#streams.size === 1) this.#onStreamed(true);
    response.on("close", () => this.#remove(open));
    stream.start();
  }

  #makeRoom(newcomer: Client): void {
    const greediest = this.#counts.greediest(newcomer);
    const newest = [...this.#streams].findLast(
      ({ client }) => client.owner === greediest?.owner && client.address === greediest.address,
    );
    if (newest === undefined) return;
    const { stream, response } = newest;
    this.#remove(newest);
    this.#context.metrics.displaced.inc();
    stream.end("displaced");
    // The connection does not stay either, whether its client reads the rest or not.
    const { socket } = response;
    const cut = setTimeout(() => socket?.destroy(), DISPLACED_MS);
    response.once("finish", () => socket?.destroySoon());
    response.once("close", () => clearTimeout(cut));
  }

  #remove(open: OpenStream): void {
    if (!this.#streams.delete(open)) return;
    this.#counts.remove(open.client);
    this.#context.metrics.clients.set(this.#streams.size);
    if (this.#streams.size === 0) {
      this.#onStreamed(false);
      this.#emptied();
    }
  }

  /**
   * Ends all streams after the lines already written; takes no new ones. Resolves when the system
   * has all bytes, or after `limitMs`.
   */
  async endAll(limitMs: number): Promise<void> {
    this.#closing = true;
    for (const { stream } of this.#streams) {
      stream.end("shutdown");
    }
    if (this.#streams.size > 0) {
      const timer = setTimeout(() => this.#emptied(), limitMs);
      await new Promise<void>((resolve) => {
        this.#emptied = resolve;
      });
      clearTimeout(timer);
    }
  }
}

function tooMany(message: string): HttpError {
  const retryAfter = { "retry-after": String(RETRY_AFTER_S) };
  return new HttpError(503, "too_many_clients", message, {}, retryAfter);
}
