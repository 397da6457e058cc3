import { type EncodedEvents, type StreamFormat, startOf } from "../../journal/encoding.ts";
import type { JournalEntry } from "../../journal/entry.ts";
import type { Predicate } from "../query/filters.ts";

/** Bytes for one write. */
export interface Chunk {
  readonly bytes: Buffer;
  /** Numbered events in it. */
  readonly sent: number;
  /** Events of the entry gone through; 0 when not even one fits. */
  readonly scanned: number;
}

export interface ChunkLimits {
  /** Bytes that fit; `any` for an empty queue, which takes one event however large. */
  readonly room: number | "any";
  readonly maxBytes: number;
  /** Events that the client still wants. */
  readonly events: number;
}

const NO_BYTES = Buffer.alloc(0);

/** As much of `entry` from event `index` as fits, in the lines that all readers share. */
export function nextChunk(
  entry: JournalEntry,
  index: number,
  format: StreamFormat,
  limits: ChunkLimits,
  matches?: Predicate,
): Chunk {
  return matches === undefined
    ? takeAll(entry, index, format, limits)
    : takeMatching(entry, index, format, limits, matches);
}

function takeAll(
  entry: JournalEntry,
  index: number,
  format: StreamFormat,
  limits: ChunkLimits,
): Chunk {
  const encoded = entry.encoded(format);
  const start = startOf(encoded, index);
  const last = Math.min(entry.count, index + limits.events);
  let end = countWithin(encoded.ends, start + roomOf(limits), index, last);
  if (end === index && limits.room === "any") {
    end = index + 1;
  }
  const bytes = encoded.bytes.subarray(start, startOf(encoded, end));
  return { bytes, sent: entry.numbered ? end - index : 0, scanned: end - index };
}

/** The lines are copied: a few of them should not keep the buffer of a whole batch alive. */
function takeMatching(
  entry: JournalEntry,
  index: number,
  format: StreamFormat,
  limits: ChunkLimits,
  matches: Predicate,
): Chunk {
  const events = entry.events();
  const lines: Buffer[] = [];
  let encoded: EncodedEvents | undefined;
  let room = roomOf(limits);
  let i = index;
  for (; i < events.length && lines.length < limits.events; i += 1) {
    const event = events[i];
    if (event === undefined || !matches(event)) {
      continue;
    }
    encoded ??= entry.encoded(format);
    const line = encoded.bytes.subarray(startOf(encoded, i), encoded.ends[i]);
    if (line.length > room && !(limits.room === "any" && lines.length === 0)) {
      break;
    }
    room -= line.length;
    lines.push(line);
  }
  const bytes = lines.length === 0 ? NO_BYTES : Buffer.concat(lines);
  return { bytes, sent: entry.numbered ? lines.length : 0, scanned: i - index };
}

function roomOf({ room, maxBytes }: ChunkLimits): number {
  return room === "any" ? maxBytes : Math.min(room, maxBytes);
}

/** The first index from `low` to `high` whose event ends beyond `limit`. */
function countWithin(ends: Uint32Array, limit: number, from: number, to: number): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ends[middle] ?? 0) <= limit) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
