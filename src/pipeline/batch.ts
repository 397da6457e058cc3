import type { GapEvent } from "./events.schema.ts";

/**
 * One event as it leaves the daemon: JSON-ready, snake_case. Only the head is typed here; the rest
 * belongs to the probe. 64-bit identifiers are decimal strings.
 */
export interface TuplewatchEvent {
  /** Gapless per daemon life, from 1. Absent on `gap` events, which are notices, not events. */
  readonly seq?: number;
  /** RFC 3339 with nanoseconds. */
  readonly time: string;
  readonly type: string;
  readonly probe?: string;
  readonly [field: string]: unknown;
}

/**
 * Records of one probe in ring order. Decoding happens only when somebody reads, perhaps more than
 * once, so `event` must give the same answer every time.
 */
export interface EventBatch {
  readonly probe: string;
  readonly count: number;
  /** Memory that the batch holds, for the journal's bound. */
  readonly byteLength: number;
  /** Set on a batch of `gap` notices only: how many events they report. Notices get no seq. */
  readonly missed?: number;
  /** Builds event `index` of the batch; `seq` is the number the journal gave it. */
  event(index: number, seq: number): TuplewatchEvent;
}

export interface Gap {
  /** Where events were lost. */
  readonly where: GapEvent["where"];
  /** Absent where nobody can know (`restart`). */
  readonly missed?: number;
  /** First and last missing seq; absent when the lost events never had one. */
  readonly fromSeq?: number;
  readonly toSeq?: number;
  readonly probe?: string;
  /** RFC 3339; the time of the call by default. */
  readonly time?: string;
}

export function gapEvent(gap: Gap): GapEvent {
  return {
    time: gap.time ?? new Date().toISOString(),
    type: "gap",
    ...(gap.probe !== undefined && { probe: gap.probe }),
    ...(gap.fromSeq !== undefined && { from_seq: gap.fromSeq }),
    ...(gap.toSeq !== undefined && { to_seq: gap.toSeq }),
    ...(gap.missed !== undefined && { missed: gap.missed }),
    where: gap.where,
  };
}

/** Events that exist as objects already. */
export class ObjectBatch implements EventBatch {
  readonly probe: string;
  readonly count: number;
  readonly byteLength: number;
  readonly #events: readonly Omit<TuplewatchEvent, "seq">[];

  /** `byteLength` in bytes; an estimate from the JSON text by default. */
  constructor(
    probe: string,
    events: readonly Omit<TuplewatchEvent, "seq">[],
    byteLength: number = 2 * JSON.stringify(events).length,
  ) {
    this.probe = probe;
    this.count = events.length;
    this.byteLength = byteLength;
    this.#events = events;
  }

  event(index: number, seq: number): TuplewatchEvent {
    const fields = this.#events[index];
    if (fields === undefined) {
      throw new RangeError(`event ${index} of a batch of ${this.count} from ${this.probe}`);
    }
    return { seq, ...fields } as TuplewatchEvent;
  }
}

/** One notice in the journal, in order with the events around it. */
class GapBatch implements EventBatch {
  readonly probe: string;
  readonly count = 1;
  readonly byteLength = 256;
  readonly missed: number;
  readonly #event: TuplewatchEvent;

  constructor(gap: Gap) {
    this.probe = gap.probe ?? "";
    this.missed = gap.missed ?? 0;
    this.#event = gapEvent({ ...gap, time: gap.time ?? new Date().toISOString() });
  }

  event(): TuplewatchEvent {
    return this.#event;
  }
}

/**
 * The notice that the kernel stage appends when a ring was full: `missed` records of `probe` were
 * never reserved. `time` is RFC 3339.
 */
export function gapBatch(probe: string, missed: number, time?: string): EventBatch {
  return new GapBatch({ where: "kernel_ring", probe, missed, ...(time !== undefined && { time }) });
}
