import type { EventBatch, TuplewatchEvent } from "../events/event.ts";
import { type EncodedEvents, encodeNdjson, type StreamFormat, sseFromNdjson } from "./encoding.ts";
import type { CachedViews, ViewCache } from "./view-cache.ts";

/** What the views cost and how often they were made; shared by all entries of a journal. */
export interface EntryContext {
  readonly cache: ViewCache;
  /** Events turned into JSON so far, however many readers there are. */
  encodedEvents: number;
}

/** Heap of one decoded event, taken high: an object has no cheap exact size. */
const OBJECT_BYTES = 1024;

/** A batch with its place in the journal and the views that all readers share. */
export class JournalEntry implements CachedViews {
  readonly batch: EventBatch;
  /** Position in the journal since its start, from 0. */
  readonly ordinal: number;
  /** Seq of the first event; for a notice, the seq of the event after it. */
  readonly firstSeq: number;
  /** Events that notices before this entry reported as missed. */
  readonly missedBefore: number;
  readonly #context: EntryContext;
  #events: readonly TuplewatchEvent[] | undefined;
  #ndjson: EncodedEvents | undefined;
  #sse: EncodedEvents | undefined;

  constructor(
    batch: EventBatch,
    ordinal: number,
    firstSeq: number,
    missedBefore: number,
    context: EntryContext,
  ) {
    this.batch = batch;
    this.ordinal = ordinal;
    this.firstSeq = firstSeq;
    this.missedBefore = missedBefore;
    this.#context = context;
  }

  get count(): number {
    return this.batch.count;
  }

  /** Notices take no numbers. */
  get numbered(): boolean {
    return this.batch.missed === undefined;
  }

  /** Seq that follows the first `index` events of this entry. */
  seqAt(index: number): number {
    return this.numbered ? this.firstSeq + index : this.firstSeq;
  }

  events(): readonly TuplewatchEvent[] {
    if (this.#events === undefined) {
      const { batch } = this;
      this.#events = Array.from({ length: batch.count }, (_, i) => batch.event(i, this.seqAt(i)));
    }
    this.#hold();
    return this.#events;
  }

  encoded(format: StreamFormat): EncodedEvents {
    const known = format === "sse" ? this.#sse : this.#ndjson;
    if (known !== undefined) {
      this.#hold();
      return known;
    }
    const events = this.events();
    if (this.#ndjson === undefined) {
      this.#ndjson = encodeNdjson(events);
      this.#context.encodedEvents += events.length;
    }
    if (format === "sse") {
      this.#sse = sseFromNdjson(events, this.#ndjson);
    }
    this.#hold();
    return this.#sse !== undefined && format === "sse" ? this.#sse : this.#ndjson;
  }

  dropViews(): void {
    this.#events = undefined;
    this.#ndjson = undefined;
    this.#sse = undefined;
  }

  #hold(): void {
    const objects = this.#events === undefined ? 0 : this.count * OBJECT_BYTES;
    const lines = (this.#ndjson?.bytes.length ?? 0) + (this.#sse?.bytes.length ?? 0);
    this.#context.cache.hold(this, objects + lines);
  }
}
