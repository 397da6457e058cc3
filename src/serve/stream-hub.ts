import type { ServerResponse } from "node:http";
import { HttpError } from "./errors.ts";
import type { EventQuery } from "./query.ts";
import { EventStream, type StreamContext, type StreamStyle } from "./stream.ts";
import { Turns } from "./turns.ts";

/** Seconds after which a refused client may try again. */
const RETRY_AFTER_S = 5;

/** A client that takes no byte for so long, not even the signs of life, is gone or stuck. */
const STALLED_MS = 300_000;

/** All open streams. */
export class StreamHub {
  readonly #context: StreamContext;
  readonly #maxClients: number;
  readonly #streams = new Set<EventStream>();
  #closing = false;
  #emptied = () => {};

  constructor(context: Omit<StreamContext, "turns">, maxClients: number) {
    this.#context = { ...context, turns: new Turns() };
    this.#maxClients = maxClients;
  }

  get size(): number {
    return this.#streams.size;
  }

  /** @throws HttpError with status 503 when no more streams are taken */
  admit(): void {
    if (this.#closing || this.#streams.size >= this.#maxClients) {
      const message = this.#closing
        ? "the daemon is stopping"
        : `all ${this.#maxClients} event streams are in use (--max-clients)`;
      const retryAfter = { "retry-after": String(RETRY_AFTER_S) };
      throw new HttpError(503, "too_many_clients", message, {}, retryAfter);
    }
  }

  /** Streams to `response` until either side ends; call `admit` before. */
  open(response: ServerResponse, style: StreamStyle, query: EventQuery): void {
    response.setTimeout(STALLED_MS);
    const stream = new EventStream(response, style, query, this.#context);
    this.#streams.add(stream);
    this.#context.metrics.clients.set(this.#streams.size);
    response.on("close", () => {
      this.#streams.delete(stream);
      this.#context.metrics.clients.set(this.#streams.size);
      if (this.#streams.size === 0) {
        this.#emptied();
      }
    });
    stream.start();
  }

  /**
   * Ends all streams after the lines already written; takes no new ones. Resolves when the system
   * has all bytes, or after `limitMs`.
   */
  async endAll(limitMs: number): Promise<void> {
    this.#closing = true;
    for (const stream of this.#streams) {
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
