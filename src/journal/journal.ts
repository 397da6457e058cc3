import type { EventBatch, EventSink } from "../events/event.ts";
import { type EntryContext, JournalEntry } from "./entry.ts";
import { JournalReader, type ReadableJournal, type ReadStart } from "./reader.ts";
import { ViewCache } from "./view-cache.ts";

export interface JournalLimits {
  readonly maxEvents: number;
  /** Bytes of the batches themselves, as they report them. */
  readonly maxBytes: number;
  /** Bytes of decoded objects and encoded lines kept for readers; `maxBytes` by default. */
  readonly maxViewBytes?: number;
  /** Readers are woken at most this long after an append; 20 by default. */
  readonly flushMs?: number;
  /** Number of the first event, where another journal had those before; 1 by default. */
  readonly firstSeq?: number;
  /** Called after each append. */
  readonly onAppend?: () => void;
}

export interface JournalStats {
  readonly events: number;
  readonly bytes: number;
  readonly viewBytes: number;
  readonly appendedEvents: number;
  readonly evictedEvents: number;
  readonly encodedEvents: number;
  /** First seq that can still be read; equal to `nextSeq` when there is none. */
  readonly oldestSeq: number;
  readonly nextSeq: number;
}

/** Evicted slots are cut off the array in steps, not one by one. */
const COMPACT_SLOTS = 1024;

/**
 * The most recent events, bounded by number and by bytes. Each event gets the next seq; the oldest
 * whole batches leave first. The newest batch always stays, so one batch may exceed the bounds.
 */
export class Journal implements EventSink, ReadableJournal {
  #limits: JournalLimits;
  readonly #context: EntryContext;
  readonly #subscribers = new Set<() => void>();
  readonly #entries: (JournalEntry | undefined)[] = [];
  #head = 0;
  #headOrdinal = 0;
  #nextSeq: number;
  #events = 0;
  #bytes = 0;
  #evictedEvents: number;
  #missed = 0;
  #flushTimer: NodeJS.Timeout | undefined;

  constructor(limits: JournalLimits) {
    this.#limits = limits;
    this.#nextSeq = limits.firstSeq ?? 1;
    this.#evictedEvents = this.#nextSeq - 1;
    this.#context = {
      cache: new ViewCache(limits.maxViewBytes ?? limits.maxBytes),
      encodedEvents: 0,
    };
  }

  /** Other bounds from now on. */
  limit(bounds: Pick<JournalLimits, "maxBytes" | "maxEvents">): void {
    this.#limits = { ...this.#limits, ...bounds };
    this.#context.cache.limit(this.#limits.maxViewBytes ?? bounds.maxBytes);
    this.#evict();
  }

  append(batch: EventBatch): void {
    if (batch.count === 0) {
      return;
    }
    const entry = new JournalEntry(
      batch,
      this.endOrdinal,
      this.#nextSeq,
      this.#missed,
      this.#context,
    );
    this.#entries.push(entry);
    this.#nextSeq = entry.seqAt(batch.count);
    this.#missed += batch.missed ?? 0;
    this.#events += batch.count;
    this.#bytes += batch.byteLength;
    this.#evict();
    this.#limits.onAppend?.();
    this.#scheduleFlush();
  }

  /** A reader that starts at the end, at the oldest entry, or after a seq. */
  openReader(start: ReadStart): JournalReader {
    return new JournalReader(this, start);
  }

  /** Calls `wake` after appends, once for all appends of `flushMs`. Returns the way out. */
  subscribe(wake: () => void): () => void {
    this.#subscribers.add(wake);
    return () => {
      this.#subscribers.delete(wake);
    };
  }

  stats(): JournalStats {
    return {
      events: this.#events,
      bytes: this.#bytes,
      viewBytes: this.#context.cache.bytes,
      appendedEvents: this.#nextSeq - 1,
      evictedEvents: this.#evictedEvents,
      encodedEvents: this.#context.encodedEvents,
      oldestSeq: this.entryAt(this.#headOrdinal)?.firstSeq ?? this.#nextSeq,
      nextSeq: this.#nextSeq,
    };
  }

  /** Stops the pending wake-up; appends after this wake nobody. */
  close(): void {
    clearTimeout(this.#flushTimer);
    this.#subscribers.clear();
  }

  get nextSeq(): number {
    return this.#nextSeq;
  }

  /** Events that notices have reported as missed so far. */
  get missed(): number {
    return this.#missed;
  }

  /** Ordinal of the oldest entry still held. */
  get headOrdinal(): number {
    return this.#headOrdinal;
  }

  /** Ordinal that the next entry will have. */
  get endOrdinal(): number {
    return this.#headOrdinal + this.#entries.length - this.#head;
  }

  entryAt(ordinal: number): JournalEntry | undefined {
    return ordinal < this.#headOrdinal
      ? undefined
      : this.#entries[this.#head + ordinal - this.#headOrdinal];
  }

  /** Ordinal of the first entry with anything after `seq`; `endOrdinal` if there is none. */
  ordinalAfter(seq: number): number {
    let low = this.#headOrdinal;
    let high = this.endOrdinal;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const entry = this.entryAt(middle);
      const last = entry === undefined ? 0 : entry.seqAt(entry.count - 1);
      if (last > seq) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }

  #evict(): void {
    const { maxEvents, maxBytes } = this.#limits;
    while (this.#events > maxEvents || this.#bytes > maxBytes) {
      const oldest = this.#entries[this.#head];
      if (oldest === undefined || oldest.ordinal === this.endOrdinal - 1) {
        return;
      }
      this.#context.cache.drop(oldest);
      this.#entries[this.#head] = undefined;
      this.#head += 1;
      this.#headOrdinal += 1;
      this.#events -= oldest.count;
      this.#bytes -= oldest.batch.byteLength;
      this.#evictedEvents += oldest.numbered ? oldest.count : 0;
      if (this.#head === COMPACT_SLOTS) {
        this.#entries.splice(0, COMPACT_SLOTS);
        this.#head = 0;
      }
    }
  }

  #scheduleFlush(): void {
    if (this.#subscribers.size === 0 || this.#flushTimer !== undefined) {
      return;
    }
    this.#flushTimer = setTimeout(() => {
      this.#flushTimer = undefined;
      for (const wake of this.#subscribers) {
        wake();
      }
    }, this.#limits.flushMs ?? 20);
  }
}
