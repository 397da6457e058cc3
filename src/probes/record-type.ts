import type { RecordViews } from "libbpf-ts";
import type { DecodedEvent, EventBody } from "../events/body.ts";
import type { ProbeEventType } from "../events/event-types.ts";
import { eventHeadLayout, eventTypeNames, RECORDS } from "../events/events.gen.ts";
import { enumValue } from "../events/fields.ts";
import type { CounterSpec, HistogramSpec } from "./metric-specs.ts";
import type { LookupColumns, Participant, ParticipantColumns, Probe, RecordType } from "./probe.ts";

/** What is particular to a type of records, beside what is generated. */
export interface RecordSpec<T extends ProbeEventType> {
  body(event: DecodedEvent<T>): EventBody<T>;
  /** By the field of the record that holds the process: where it is in the body. */
  readonly participants?: Readonly<Record<string, (body: EventBody<T>) => object | undefined>>;
  readonly isFindingCandidate?: (rows: Float64Array, row: number) => boolean;
  readonly counters?: readonly CounterSpec[];
  readonly histograms?: readonly HistogramSpec[];
}

export function recordType<T extends ProbeEventType>(type: T, spec: RecordSpec<T>): RecordType {
  const { layout, columns, columnCount, decode, decodeColumns } = RECORDS[type];
  const participants = Object.entries(spec.participants ?? {}).map(
    ([field, find]): ParticipantColumns => ({
      ...lookupColumns(columns, field),
      find: (body) => find(body as EventBody<T>) as Participant | undefined,
    }),
  );
  return {
    eventType: type,
    eventNumber: enumValue(eventTypeNames, type),
    layout,
    columnCount,
    decodeColumns,
    head: lookupColumns(columns, "head"),
    participants,
    decode: (views, at) => {
      const event = decode(views, at) as DecodedEvent<T>;
      return { type, head: event.head, body: spec.body(event) };
    },
    isFindingCandidate: spec.isFindingCandidate,
    counters: spec.counters ?? [],
    histograms: spec.histograms ?? [],
  };
}

/** Of a struct with a process in it, or of a process. */
function lookupColumns(columns: Readonly<Record<string, number>>, field: string): LookupColumns {
  const pid = columns[`${field}ProcessPid`] ?? columns[`${field}Pid`];
  if (pid === undefined) throw new RangeError(`no process is in field ${field}`);
  return {
    pid,
    cgroupId: columns[`${field}CgroupId`],
    netnsInum: columns[`${field}NetnsInum`],
    netnsCookie: columns[`${field}NetnsCookie`],
  };
}

const TYPE_OFFSET = eventHeadLayout.fields.find(({ name }) => name === "type")?.offset ?? 0;

/** The type of the record at byte `at`: by the number in its head, where there is a choice. */
export function recordTypeAt({ recordTypes }: Probe, views: RecordViews, at: number): RecordType {
  if (recordTypes.length === 1) return recordTypes[0];
  const number = views.u16[(at + TYPE_OFFSET) >> 1];
  return recordTypes.find(({ eventNumber }) => eventNumber === number) ?? recordTypes[0];
}
