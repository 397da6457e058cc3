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

/** Where batches go: each event in them gets the next number. */
export interface EventSink {
  /** The number that the next event gets. */
  readonly nextSeq: number;
  append(batch: EventBatch): void;
}
