import type { EventBatch, TuplewatchEvent } from "../events/event.ts";
import type { GapEvent } from "../events/events.schema.ts";

export interface Gap {
  /** Where events were lost. */
  readonly where: GapEvent["where"];
  /** Absent where nobody can know (`restart`, `detached`). */
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

/** The notice that the kernel side appends: events of a probe that never had a number. */
export function gapBatch(gap: Gap): EventBatch {
  return new GapBatch(gap);
}
