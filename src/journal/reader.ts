import type { TuplewatchEvent } from "../events/event.ts";
import { gapEvent } from "./batch.ts";
import type { JournalEntry } from "./entry.ts";

/** `{ after: N }`: events with seq > N. */
export type ReadStart = "end" | "oldest" | { readonly after: number };

/** Notices for this reader alone, or the entry to go on with, from event `index`. */
export type ReadStep =
  | { readonly kind: "gap"; readonly events: readonly TuplewatchEvent[]; readonly missed: number }
  | { readonly kind: "entry"; readonly entry: JournalEntry; readonly index: number };

/** What a reader needs of the journal. */
export interface ReadableJournal {
  readonly nextSeq: number;
  /** Events that notices have reported as missed so far. */
  readonly missed: number;
  /** Ordinal of the oldest entry still held. */
  readonly headOrdinal: number;
  /** Ordinal that the next entry will have. */
  readonly endOrdinal: number;
  entryAt(ordinal: number): JournalEntry | undefined;
  /** Ordinal of the first entry with anything after `seq`; `endOrdinal` if there is none. */
  ordinalAfter(seq: number): number;
}

/**
 * A place in the journal. A reader holds no events: whoever is slow falls behind in the journal,
 * and is told exactly what left it in the meantime.
 */
export class JournalReader {
  readonly #journal: ReadableJournal;
  #ordinal: number;
  #index = 0;
  #nextSeq: number;
  #missedSeen: number;
  #pending: ReadStep | undefined;

  constructor(journal: ReadableJournal, start: ReadStart) {
    this.#journal = journal;
    this.#ordinal = this.#firstOrdinal(start);
    const entry = journal.entryAt(this.#ordinal);
    this.#nextSeq = entry?.firstSeq ?? journal.nextSeq;
    this.#missedSeen = entry?.missedBefore ?? journal.missed;
    if (typeof start === "object") {
      this.#resumeAfter(start.after, entry);
    }
  }

  /** What comes next, or undefined when the reader has caught up. Repeats until `advance`. */
  peek(): ReadStep | undefined {
    if (this.#pending === undefined && this.#ordinal < this.#journal.headOrdinal) {
      this.#skipEvicted();
    }
    if (this.#pending !== undefined) {
      return this.#pending;
    }
    const entry = this.#journal.entryAt(this.#ordinal);
    return entry && { kind: "entry", entry, index: this.#index };
  }

  /** Goes past the pending notices, or to event `index` of the entry last seen by `peek`. */
  advance(step: ReadStep, index: number): void {
    if (step.kind === "gap") {
      this.#pending = undefined;
      return;
    }
    const { entry } = step;
    this.#nextSeq = entry.seqAt(index);
    const finished = index >= entry.count;
    this.#ordinal = finished ? entry.ordinal + 1 : entry.ordinal;
    this.#index = finished ? 0 : index;
    this.#missedSeen = entry.missedBefore + (finished ? (entry.batch.missed ?? 0) : 0);
  }

  #firstOrdinal(start: ReadStart): number {
    if (start === "end") {
      return this.#journal.endOrdinal;
    }
    if (start === "oldest" || start.after >= this.#journal.nextSeq) {
      return this.#journal.headOrdinal;
    }
    return this.#journal.ordinalAfter(start.after);
  }

  #resumeAfter(after: number, entry: JournalEntry | undefined): void {
    if (after >= this.#journal.nextSeq) {
      this.#pending = { kind: "gap", events: [gapEvent({ where: "restart" })], missed: 0 };
      return;
    }
    const fromSeq = after + 1;
    if (fromSeq < this.#nextSeq) {
      const toSeq = this.#nextSeq - 1;
      const missed = toSeq - after;
      const events = [gapEvent({ where: "journal", fromSeq, toSeq, missed })];
      this.#pending = { kind: "gap", events, missed };
    } else if (entry?.numbered) {
      this.#index = fromSeq - entry.firstSeq;
      this.#nextSeq = fromSeq;
    }
  }

  #skipEvicted(): void {
    const oldest = this.#journal.entryAt(this.#journal.headOrdinal);
    const toSeq = (oldest?.firstSeq ?? this.#journal.nextSeq) - 1;
    const missed = toSeq + 1 - this.#nextSeq;
    const missedInKernel = (oldest?.missedBefore ?? this.#journal.missed) - this.#missedSeen;
    const events: TuplewatchEvent[] = [];
    if (missed > 0) {
      events.push(gapEvent({ where: "slow_client", fromSeq: this.#nextSeq, toSeq, missed }));
    }
    if (missedInKernel > 0) {
      events.push(gapEvent({ where: "kernel_ring", missed: missedInKernel }));
    }
    this.#ordinal = this.#journal.headOrdinal;
    this.#index = 0;
    this.#nextSeq = toSeq + 1;
    this.#missedSeen += missedInKernel;
    if (events.length > 0) {
      this.#pending = { kind: "gap", events, missed };
    }
  }
}
