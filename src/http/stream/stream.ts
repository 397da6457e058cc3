import type { ServerResponse } from "node:http";
import type { TuplewatchEvent } from "../../events/event.ts";
import { encodeEvents, type StreamFormat } from "../../journal/encoding.ts";
import type { Journal } from "../../journal/journal.ts";
import type { JournalReader, ReadStart, ReadStep } from "../../journal/reader.ts";
import type { ServeMetrics } from "../metrics.ts";
import type { EndOfStream } from "../openapi/answers.schema.ts";
import { SCHEMA_VERSION, SCHEMA_VERSION_HEADER } from "../openapi/schema-version.ts";
import type { EventQuery } from "../query/event-query.ts";
import { type Chunk, type ChunkLimits, nextChunk } from "./chunk.ts";
import type { FairScheduler } from "./fair-scheduler.ts";
import { gzipOutput, plainOutput, type StreamOutput } from "./stream-output.ts";

/** Bytes queued for one client at most; the rest waits in the journal. */
export const MAX_QUEUED_BYTES = 256 * 1024;

/** Events handled before other streams get their turn. */
const EVENTS_PER_SLICE = 512;

export interface StreamContext {
  readonly journal: Journal;
  readonly metrics: ServeMetrics;
  readonly heartbeatMs: number;
  readonly scheduler: FairScheduler;
}

const CONTENT_TYPES = {
  ndjson: "application/x-ndjson; charset=utf-8",
  sse: "text/event-stream; charset=utf-8",
} as const;

/** An empty line is no JSON text and a colon starts an SSE comment: readers skip both. */
const HEARTBEATS = { ndjson: "\n", sse: ": heartbeat\n\n" } as const;

/** How one client wants its events. */
export interface StreamStyle {
  readonly format: StreamFormat;
  readonly gzip: boolean;
}

export function streamHeaders({ format, gzip }: StreamStyle): Record<string, string> {
  return {
    "content-type": CONTENT_TYPES[format],
    "cache-control": "no-store",
    [SCHEMA_VERSION_HEADER]: SCHEMA_VERSION,
    vary: "accept, accept-encoding",
    ...(gzip && { "content-encoding": "gzip" }),
  };
}

/**
 * One client of /events. It pulls from the journal as fast as its connection takes the bytes, so
 * that a slow client costs no more than `MAX_QUEUED_BYTES` and misses events only when they have
 * left the journal.
 */
export class EventStream {
  readonly #response: ServerResponse;
  readonly #output: StreamOutput;
  readonly #style: StreamStyle;
  readonly #query: EventQuery;
  readonly #context: StreamContext;
  readonly #reader: JournalReader;
  readonly #unsubscribe: () => void;
  readonly #heartbeat: NodeJS.Timeout;
  readonly #slice = () => this.#output.together(() => this.#pump());
  #remaining: number;
  #ended = false;

  constructor(
    response: ServerResponse,
    style: StreamStyle,
    query: EventQuery,
    context: StreamContext,
  ) {
    this.#response = response;
    this.#output = style.gzip ? gzipOutput(response) : plainOutput(response);
    this.#style = style;
    this.#query = query;
    this.#context = context;
    this.#remaining = query.limit ?? Number.POSITIVE_INFINITY;
    this.#reader = context.journal.openReader(startOf(query));
    this.#unsubscribe = context.journal.subscribe(() => this.#schedule());
    this.#heartbeat = setInterval(() => this.#beat(), context.heartbeatMs);
    this.#output.onDrain(() => this.#schedule());
    response.on("close", () => {
      this.#release();
      this.#output.close();
    });
  }

  start(): void {
    this.#response.writeHead(200, streamHeaders(this.#style));
    this.#response.flushHeaders();
    this.#slice();
  }

  /** Ends after the events written so far; they are whole lines. */
  end(reason: EndOfStream["reason"]): void {
    if (this.#ended) {
      return;
    }
    this.#release();
    if (this.#style.format === "sse") {
      const last: EndOfStream = { type: "end", reason };
      this.#output.end(`event: end\ndata: ${JSON.stringify(last)}\n\n`);
    } else {
      this.#output.end();
    }
  }

  /** Writes until the client is full, the journal is read or others should have their turn. */
  #pump(): void {
    let budget = EVENTS_PER_SLICE;
    while (!this.#ended) {
      const step = this.#reader.peek();
      if (step === undefined) {
        this.#caughtUp();
        return;
      }
      if (budget <= 0) {
        this.#schedule();
        return;
      }
      const chunk = this.#take(step);
      if (chunk === undefined) {
        return;
      }
      budget -= chunk.scanned;
      this.#write(chunk);
      if (this.#remaining === 0) {
        this.end("complete");
      }
    }
  }

  /** Undefined when the client must drain first. */
  #take(step: ReadStep): Chunk | undefined {
    const { format } = this.#style;
    const queued = this.#output.queuedBytes;
    const room: ChunkLimits["room"] = queued === 0 ? "any" : MAX_QUEUED_BYTES - queued;
    if (step.kind === "gap") {
      if (room !== "any" && room <= 0) {
        return undefined;
      }
      this.#countDropped(step.events);
      this.#reader.advance(step, 0);
      return { bytes: encodeEvents(step.events, format).bytes, sent: 0, scanned: 1 };
    }
    const limits = { room, events: this.#remaining, maxBytes: MAX_QUEUED_BYTES };
    const chunk = nextChunk(step.entry, step.index, format, limits, this.#query.matches);
    if (chunk.scanned === 0) {
      return undefined;
    }
    this.#reader.advance(step, step.index + chunk.scanned);
    return chunk;
  }

  #write({ bytes, sent }: Chunk): void {
    if (bytes.length === 0) {
      return;
    }
    this.#output.write(bytes);
    this.#remaining -= sent;
    this.#context.metrics.sent.inc(sent);
    this.#heartbeat.refresh();
  }

  #caughtUp(): void {
    if (!this.#query.follow) {
      this.end("complete");
    }
  }

  #schedule(): void {
    if (!this.#ended) this.#context.scheduler.schedule(this.#slice);
  }

  #countDropped(events: readonly TuplewatchEvent[]): void {
    for (const { where, missed } of events as readonly { where?: string; missed?: number }[]) {
      if (where === "journal" || where === "slow_client") {
        this.#context.metrics.dropped.inc({ reason: where }, missed ?? 0);
      }
    }
  }

  #beat(): void {
    if (this.#output.queuedBytes === 0) {
      this.#output.write(HEARTBEATS[this.#style.format]);
    }
  }

  #release(): void {
    this.#ended = true;
    clearInterval(this.#heartbeat);
    this.#unsubscribe();
  }
}

function startOf({ since, follow }: EventQuery): ReadStart {
  if (since !== undefined) {
    return { after: since };
  }
  return follow ? "end" : "oldest";
}
