import type { RecordBatch, RecordViews, RingBuffer, Subscription } from "libbpf-ts";
import type { Probe } from "../probes/probe.ts";
import { recordTypeAt } from "../probes/record-type.ts";

/** Records of one probe, in place in its ring: valid only while the sink runs. */
export interface RingRecords {
  readonly probe: Probe;
  readonly views: RecordViews;
  /** Byte offset of each record in the views; `count` of them. */
  readonly offsets: Int32Array;
  readonly count: number;
  /** All of them lie between these offsets, headers included. */
  readonly start: number;
  readonly end: number;
}

export type RecordSink = (records: RingRecords) => void;

/** Records handled before HTTP and timers get their turn: some 2 ms of work. */
const MAX_PER_TURN = 2048;

/**
 * Wake-ups of a busy ring cost more than its records, so these are gathered for a while: with a
 * stream open well below the 20 ms within which its reader is to see an event, else for as long as
 * a finding, or a metric, may be late.
 */
const STREAMED_HOLD_OFF_MS = 5;
const HOLD_OFF_MS = 50;
/** Part of the ring that may fill meanwhile. */
const URGENT_RATIO = 0.25;

export interface DrainOptions {
  readonly sink: RecordSink;
  /** Called when records are handled, or could not be, before their room is given back. */
  readonly onHandled?: () => void;
  onError(error: unknown): void;
  /** What others have read of that ring before. */
  readonly before?: DrainCounts;
  /** Whether somebody reads events as they come; `setStreamed` tells when that changes. */
  readonly isStreamed?: boolean;
  /** While it is, records wait. */
  readonly isPaused?: () => boolean;
}

export interface DrainCounts {
  /** Records taken from the ring. */
  readonly read: number;
  /** Those that the sink took. */
  readonly delivered: number;
  /** Those of the wrong size, which were dropped. */
  readonly malformed: number;
}

const NOTHING_READ: DrainCounts = { read: 0, delivered: 0, malformed: 0 };

/** Reads one probe's ring from its first record to its last. */
export class ProbeDrain {
  readonly #probe: Probe;
  readonly #ring: RingBuffer;
  readonly #options: DrainOptions;
  readonly #subscription: Subscription;
  #counts: DrainCounts;

  constructor(probe: Probe, ring: RingBuffer, options: DrainOptions) {
    this.#probe = probe;
    this.#ring = ring;
    this.#options = options;
    this.#counts = options.before ?? NOTHING_READ;
    this.#subscription = ring.onReadable(() => this.drain(), {
      holdOffMs: holdOffMs(options.isStreamed === true),
      urgentBytes: URGENT_RATIO * ring.size,
    });
  }

  /** Its bytes, and how many of them wait to be read. */
  get ringBytes(): { readonly size: number; readonly fill: number } {
    return { size: this.#ring.size, fill: this.#ring.fill() };
  }

  get counts(): DrainCounts {
    return this.#counts;
  }

  /** Hands over all that waits. */
  async drain(): Promise<void> {
    if (this.#options.isPaused?.() === true) return;
    try {
      await this.#ring.drain((batch, views) => this.#handle(batch, views), {
        maxPerTurn: MAX_PER_TURN,
      });
    } catch (error) {
      this.#options.onError(error);
    }
  }

  setStreamed(isStreamed: boolean): void {
    this.#subscription.setHoldOff(holdOffMs(isStreamed));
  }

  /** No more wake-ups. */
  stop(): void {
    this.#subscription.close();
  }

  #handle(batch: RecordBatch, views: RecordViews): void {
    const { sink, onHandled } = this.#options;
    const { offsets, start, end } = batch;
    const { read, delivered, malformed } = this.#counts;
    const count = dropMalformed(this.#probe, batch, views);
    const counts = { read: read + batch.count, malformed: malformed + batch.count - count };
    this.#counts = { ...counts, delivered };
    try {
      if (count > 0) sink({ probe: this.#probe, views, offsets, count, start, end });
      this.#counts = { ...counts, delivered: delivered + count };
    } finally {
      onHandled?.();
    }
  }
}

function holdOffMs(isStreamed: boolean): number {
  return isStreamed ? STREAMED_HOLD_OFF_MS : HOLD_OFF_MS;
}

/**
 * Moves the offsets of records of the right size to the front, and returns how many they are. The
 * others cannot be decoded.
 */
export function dropMalformed(
  probe: Probe,
  { offsets, lengths, count }: RecordBatch,
  views: RecordViews,
): number {
  const uniform = probe.recordTypes.length === 1;
  let { size } = probe.recordTypes[0].layout;
  let kept = 0;
  for (let index = 0; index < count; index++) {
    const at = offsets[index] as number;
    if (!uniform) size = recordTypeAt(probe, views, at).layout.size;
    if (lengths[index] === size) offsets[kept++] = at;
  }
  return kept;
}
