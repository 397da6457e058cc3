import assert from "node:assert/strict";
import fc from "fast-check";
import { RecordBatch, type RecordViews, recordViews, type StructLayout } from "libbpf-ts";
import { Registry } from "prom-client";
import { dropMalformed, type RingRecords } from "../../src/attach/drain.ts";
import * as generated from "../../src/events/events.gen.ts";
import { enumValue } from "../../src/events/fields.ts";
import { Intake } from "../../src/intake/intake.ts";
import { CopySpace } from "../../src/intake/record-copy.ts";
import { RecordEvents } from "../../src/intake/record-events.ts";
import { encodeNdjson } from "../../src/journal/encoding.ts";
import { Journal } from "../../src/journal/journal.ts";
import type { Probe } from "../../src/probes/probe.ts";
import { PROBES } from "../../src/probes/probes.ts";
import { parseNdjson } from "../support/events.ts";
import type { FuzzTarget } from "./target.ts";

const HEADER_BYTES = 8;
const MAX_BYTES = 512;

/** Values of fields that the kernel side takes from a list. */
const LISTS: Readonly<Record<string, readonly number[]>> = {
  attribution: numbersOf(generated.attributionNames),
  backend: numbersOf(generated.backendNames),
  cause: numbersOf(generated.causeNames),
  error: [-1, 0, 11, 99, 111],
  inferred: [0, 1, 8, 9],
  nat: numbersOf(generated.natNames),
  outcome: numbersOf(generated.outcomeNames),
  protocol: [6, 17, 132],
  sent: numbersOf(generated.sentNames),
  tcp_state: [1, 2, 3],
  bind_technique: numbersOf(generated.bindTechniqueNames),
  technique: numbersOf(generated.techniqueNames),
  trigger: numbersOf(generated.triggerNames),
  verdict: numbersOf(generated.verdictNames),
};

interface Recipe {
  /** Which of the probe's kinds. */
  readonly kind: number;
  readonly bytes: Uint8Array;
  /** Bytes more or fewer than its kind has; mostly 0. */
  readonly surplus: number;
}

const recipe: fc.Arbitrary<Recipe> = fc.record({
  kind: fc.nat(3),
  bytes: fc.uint8Array({ minLength: MAX_BYTES, maxLength: MAX_BYTES }),
  surplus: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, fc.integer({ min: -400, max: 16 })),
});

const input = fc.record({
  probe: fc.constantFrom(...PROBES),
  recipes: fc.array(recipe, { minLength: 1, maxLength: 4 }),
  /** Whether fields with a list of values have one of them. */
  sound: fc.boolean(),
  /** A header's word that somebody wrote over, if it is not 0. */
  header: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, fc.integer()),
});

/** Records go the way that they go from a ring: walked, checked, counted, decoded, encoded. */
export const records: FuzzTarget = {
  name: "records",
  weight: 2,
  growthBytes: 12 << 20,
  create: () => {
    const journal = new Journal({ maxEvents: 1000, maxBytes: 1 << 20 });
    const intake = new Intake(journal, new Registry(), PROBES, { observe: () => {} });
    const batch = new RecordBatch(16);
    return fc.property(input, ({ probe, recipes, sound, header }) => {
      const views = ringOf(probe, recipes, sound);
      if (header !== 0) views.i32[0] = header;
      batch.walk(views.i32, 0, views.u8.length, batch.capacity);
      const count = dropMalformed(probe, batch, views);
      const whole = recipes.filter(({ surplus }) => surplus === 0).length;
      if (header === 0) assert.equal(count, whole, "records of the right size are kept");
      if (count === 0) return;
      const { offsets, start, end } = batch;
      const taken: RingRecords = { probe, views, offsets, count, start, end };
      read(taken, sound && header === 0);
      if (sound && header === 0) intake.take(taken);
    });
  },
};

const space = new CopySpace();

/** The events are whole lines of JSON, and as documented if the record is sound. */
function read(taken: RingRecords, sound: boolean): void {
  const events = new RecordEvents(taken.probe, space.copy(taken, 1), [], 0n);
  const found = Array.from({ length: taken.count }, (_, index) => events.event(index, index + 1));
  const text = encodeNdjson(found).bytes.toString();
  const lines = text.trimEnd().split("\n");
  assert.equal(lines.length, taken.count);
  for (const line of lines) JSON.parse(line);
  if (sound) parseNdjson(text);
}

function ringOf(probe: Probe, recipes: readonly Recipe[], sound: boolean): RecordViews {
  const parts = recipes.map(({ kind, bytes, surplus }) => {
    const kinds = probe.recordTypes;
    const { layout } = kinds[kind % kinds.length] as (typeof kinds)[number];
    const record = Uint8Array.from(bytes);
    const view = new DataView(record.buffer);
    if (sound) choose(layout, view, 0);
    write(view, fieldAt(layout, "head").offset + TYPE.offset, TYPE.size, typeOf(layout));
    return { record, length: Math.max(0, layout.size + surplus) };
  });
  const total = parts.reduce((sum, { length }) => sum + HEADER_BYTES + align(length), 0);
  const views = recordViews(new ArrayBuffer(total));
  let at = 0;
  for (const { record, length } of parts) {
    views.u32[at >> 2] = length;
    views.u8.set(record.subarray(0, length), at + HEADER_BYTES);
    at += HEADER_BYTES + align(length);
  }
  return views;
}

const TYPE = fieldAt(generated.eventHeadLayout, "type");

function typeOf({ name }: StructLayout): number {
  const type = name.replace(/_event$/, "") as (typeof generated.eventTypeNames)[1];
  return enumValue(generated.eventTypeNames, type);
}

/** Makes each field with a list of values one of them. */
function choose(layout: StructLayout, view: DataView, base: number): void {
  for (const { name, offset, size, struct } of layout.fields) {
    if (struct !== undefined) choose(struct, view, base + offset);
    const list = LISTS[name];
    if (list === undefined) continue;
    const value = list[view.getUint8(base + offset) % list.length] as number;
    write(view, base + offset, size, value);
  }
}

function write(view: DataView, at: number, size: number, value: number): void {
  if (size === 1) view.setUint8(at, value);
  else if (size === 2) view.setUint16(at, value, true);
  else view.setInt32(at, value, true);
}

function fieldAt(layout: StructLayout, wanted: string) {
  const field = layout.fields.find(({ name }) => name === wanted);
  if (field === undefined) throw new Error(`${layout.name} has no ${wanted}`);
  return field;
}

function numbersOf(names: Readonly<Record<number, string>>): number[] {
  return Object.keys(names).map(Number);
}

function align(length: number): number {
  return (length + 7) & ~7;
}
