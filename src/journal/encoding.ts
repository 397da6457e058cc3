import type { TuplewatchEvent } from "../events/event.ts";

/** `ndjson`: one JSON text per line. `sse`: text/event-stream (HTML standard, section 9.2.6). */
export type StreamFormat = "ndjson" | "sse";

/** The events of a batch in one buffer; event i ends at byte `ends[i]`. */
export interface EncodedEvents {
  readonly bytes: Buffer;
  readonly ends: Uint32Array;
}

/** Byte offset at which event `index` starts. */
export function startOf(encoded: EncodedEvents, index: number): number {
  return index === 0 ? 0 : (encoded.ends[index - 1] ?? encoded.bytes.length);
}

export function encodeNdjson(events: readonly TuplewatchEvent[]): EncodedEvents {
  const ends = new Uint32Array(events.length);
  const lines: string[] = [];
  let end = 0;
  for (const event of events) {
    const line = `${JSON.stringify(event)}\n`;
    end += Buffer.byteLength(line);
    ends[lines.length] = end;
    lines.push(line);
  }
  return { bytes: Buffer.from(lines.join("")), ends };
}

/** Wraps lines that are encoded already, so that no event is turned into JSON twice. */
export function sseFromNdjson(
  events: readonly TuplewatchEvent[],
  ndjson: EncodedEvents,
): EncodedEvents {
  const ends = new Uint32Array(events.length);
  const pieces: Buffer[] = [];
  const blankLine = Buffer.from("\n");
  let end = 0;
  for (const [index, event] of events.entries()) {
    const head = Buffer.from(sseHead(event));
    const line = ndjson.bytes.subarray(startOf(ndjson, index), ndjson.ends[index]);
    end += head.length + line.length + blankLine.length;
    ends[index] = end;
    pieces.push(head, line, blankLine);
  }
  return { bytes: Buffer.concat(pieces, end), ends };
}

export function encodeEvents(
  events: readonly TuplewatchEvent[],
  format: StreamFormat,
): EncodedEvents {
  const ndjson = encodeNdjson(events);
  return format === "ndjson" ? ndjson : sseFromNdjson(events, ndjson);
}

/** A notice has no id, so that a client resumes after the last real event. */
function sseHead(event: TuplewatchEvent): string {
  const id = event.seq === undefined ? "" : `id: ${event.seq}\n`;
  return `${id}event: ${event.type}\ndata: `;
}
