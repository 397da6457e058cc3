import type { RecordBatch, RecordViews, Subscription } from "libbpf-ts";
import { kindAt } from "../probes/kinds.ts";
import type { Probe } from "../probes/probe.ts";
import type { AttachedProbe } from "./attach.ts";

/** Records of one probe, in place in its ring: valid only while the sink runs. */
export interface RingRecords {
  readonly probe: AttachedProbe;
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
 * Wake-ups of a busy ring cost more than its records: gather them for this long. Well below the
 * 20 ms within which a reader is to see an event.
 */
const HOLD_OFF_MS = 4;

/** Reads one probe's ring from its first record to its last. */
export class ProbeDrain {
  readonly #probe: AttachedProbe;
  readonly #sink: RecordSink;
  readonly #onError: (error: unknown) => void;
  readonly #subscription: Subscription;
  #read = 0;
  #malformed = 0;

  constructor(probe: AttachedProbe, sink: RecordSink, onError: (error: unknown) => void) {
    this.#probe = probe;
    this.#sink = sink;
    this.#onError = onError;
    this.#subscription = probe.ring.onReadable(() => this.drain(), { holdOffMs: HOLD_OFF_MS });
  }

  /** Records taken from the ring. */
  get read(): number {
    return this.#read;
  }

  /** Records of the wrong size, which were dropped. */
  get malformed(): number {
    return this.#malformed;
  }

  /** Hands over all that waits. */
  async drain(): Promise<void> {
    try {
      await this.#probe.ring.drain((batch, views) => this.#handle(batch, views), {
        maxPerTurn: MAX_PER_TURN,
      });
    } catch (error) {
      this.#onError(error);
    }
  }

  /** No more wake-ups. */
  stop(): void {
    this.#subscription.close();
  }

  #handle(batch: RecordBatch, views: RecordViews): void {
    this.#read += batch.count;
    const count = keepSound(this.#probe.probe, batch, views);
    this.#malformed += batch.count - count;
    if (count === 0) return;
    const { offsets, start, end } = batch;
    this.#sink({ probe: this.#probe, views, offsets, count, start, end });
  }
}

/**
 * Moves the offsets of records of the right size to the front, and returns how many they are. The
 * others cannot be decoded.
 */
export function keepSound(
  probe: Probe,
  { offsets, lengths, count }: RecordBatch,
  views: RecordViews,
): number {
  const uniform = probe.secondary === undefined;
  let { size } = probe.layout;
  let kept = 0;
  for (let index = 0; index < count; index++) {
    const at = offsets[index] as number;
    if (!uniform) size = kindAt(probe, views, at).layout.size;
    if (lengths[index] === size) offsets[kept++] = at;
  }
  return kept;
}
