import { RecordBatch, recordViews, type StructLayout } from "libbpf-ts";
import type { RingRecords } from "../../src/attach/drain.ts";
import { eventTypeNames, RECORDS } from "../../src/events/events.gen.ts";
import { enumValue } from "../../src/events/fields.ts";
import type { Probe, RecordType } from "../../src/probes/probe.ts";

const HEADER_BYTES = 8;

/** Numbers by the way to their field: `{ "head.process.pid": 1, error: 111 }`. */
export type Fields = Readonly<Record<string, number>>;

/** A record as its BPF program writes it; what is not named is 0. */
export function recordBytes({ layout, eventType }: RecordType, fields: Fields): Uint8Array {
  const bytes = new Uint8Array(layout.size);
  const type = enumValue(eventTypeNames, eventType);
  for (const [path, value] of Object.entries({ "head.type": type, ...fields }))
    put(new DataView(bytes.buffer), layout, path.split("."), value);
  return bytes;
}

/** Records of a probe, in a piece of memory as they lie in a ring. */
export function ringRecords(probe: Probe, records: readonly Uint8Array[]): RingRecords {
  const total = records.reduce((sum, { length }) => sum + HEADER_BYTES + align(length), 0);
  const views = recordViews(new ArrayBuffer(total));
  let end = 0;
  for (const record of records) {
    views.u32[end >> 2] = record.length;
    views.u8.set(record, end + HEADER_BYTES);
    end += HEADER_BYTES + align(record.length);
  }
  const batch = new RecordBatch(Math.max(1, records.length));
  batch.walk(views.i32, 0, end, batch.capacity);
  return { probe, views, offsets: batch.offsets, count: batch.count, start: 0, end };
}

function put(view: DataView, layout: StructLayout, path: readonly string[], value: number): void {
  let at = 0;
  let found: StructLayout["fields"][number] | undefined;
  let within: StructLayout | undefined = layout;
  for (const part of path) {
    found = within?.fields.find(({ name }) => name === part);
    if (found === undefined) throw new RangeError(`${layout.name} has no ${path.join(".")}`);
    at += found.offset;
    within = found.struct;
  }
  if (found?.size === 8) view.setBigUint64(at, BigInt(value), true);
  else if (found?.size === 4) view.setInt32(at, value, true);
  else if (found?.size === 2) view.setUint16(at, value, true);
  else view.setUint8(at, value);
}

function align(length: number): number {
  return (length + 7) & ~7;
}

/** Records of connects, and their headers, that a ring has room for. */
export function connectsInRing(ringBytes: number): number {
  return Math.floor(ringBytes / (RECORDS.connect.layout.size + HEADER_BYTES));
}
