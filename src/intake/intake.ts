import type { Registry } from "prom-client";
import type { RingRecords } from "../attach/drain.ts";
import type { EventSink, TuplewatchEvent } from "../events/event.ts";
import { WallClock } from "../kernel/clock.ts";
import { Cgroups } from "../names/cgroups.ts";
import { registerNameMetrics } from "../names/metrics.ts";
import { NetnsNames } from "../names/netns.ts";
import type { Probe, RecordType } from "../probes/probe.ts";
import { recordTypeAt } from "../probes/record-type.ts";
import { type Aggregator, createAggregator } from "./aggregator.ts";
import { FindingCandidates } from "./candidates.ts";
import { ParticipantNamer } from "./participant-names.ts";
import { CopySpace, type RecordCopy } from "./record-copy.ts";
import { RecordEvents } from "./record-events.ts";

/** Rows that one batch can have; the drain hands over fewer. */
const MAX_ROWS = 4096;

type RecordsOfType = Pick<RingRecords, "views" | "offsets" | "count">;

export type ObservedRecord = TuplewatchEvent & {
  readonly seq: number;
  /** Since the machine booted. */
  readonly atMs: number;
};

export interface IntakeOptions {
  /** By default no cgroup has a name but through a process in it. */
  readonly cgroups?: Cgroups;
  readonly netns?: NetnsNames;
  /** Hears of the events that findings may want, each after it is in the journal. */
  readonly observe?: ((event: ObservedRecord) => void) | undefined;
  readonly clock?: WallClock;
}

/** Takes records from the rings: counts them, notes their names, and keeps them in the journal. */
export class Intake {
  readonly #sink: EventSink;
  readonly #clock: WallClock;
  readonly #namer: ParticipantNamer;
  readonly #space = new CopySpace();
  readonly #aggregators = new Map<RecordType, Aggregator>();
  readonly #rows: Float64Array;
  /** Of records of one type among several: their offsets, and where in the batch they are. */
  readonly #offsets = new Int32Array(MAX_ROWS);
  readonly #positions = new Int32Array(MAX_ROWS);
  readonly #observe: IntakeOptions["observe"];
  readonly #candidates: FindingCandidates;

  constructor(
    sink: EventSink,
    registry: Registry,
    probes: readonly Probe[],
    options: IntakeOptions = {},
  ) {
    this.#sink = sink;
    this.#clock = options.clock ?? new WallClock();
    const netns = options.netns ?? new NetnsNames();
    this.#namer = new ParticipantNamer(options.cgroups ?? new Cgroups(undefined), netns);
    this.#observe = options.observe;
    this.#candidates = new FindingCandidates(registry);
    registerNameMetrics(registry, netns);
    const recordTypes = probes.flatMap((probe) => probe.recordTypes);
    for (const recordType of recordTypes)
      this.#aggregators.set(recordType, createAggregator(registry, recordType));
    this.#rows = new Float64Array(
      MAX_ROWS * Math.max(...recordTypes.map((type) => type.columnCount)),
    );
  }

  take(records: RingRecords): void {
    const { probe } = records;
    this.#candidates.clear();
    this.#namer.beginBatch();
    const copy = this.#space.copy(records, placesOf(probe));
    const [only, ...others] = probe.recordTypes;
    if (others.length === 0) this.#count(only, records, copy);
    else this.#sort(records, copy);
    const events = new RecordEvents(probe, copy, this.#namer.names, this.#clock.readOffsetNs());
    const firstSeq = this.#sink.nextSeq;
    this.#sink.append(events);
    if (this.#observe !== undefined) this.#observeCandidates(events, firstSeq, this.#observe);
  }

  #observeCandidates(
    events: RecordEvents,
    firstSeq: number,
    observe: NonNullable<IntakeOptions["observe"]>,
  ): void {
    for (const index of this.#candidates.take()) {
      const seq = firstSeq + index;
      observe({ ...events.observed(index, seq), seq });
    }
  }

  /** Counts records of one type, and notes their names; row i is record `positions[i]`, or i. */
  #count(
    type: RecordType,
    { views, offsets, count }: RecordsOfType,
    copy: RecordCopy,
    positions?: Int32Array,
  ): void {
    type.decodeColumns(views, offsets, count, this.#rows);
    this.#aggregators.get(type)?.(this.#rows, count);
    this.#candidates.note(type, this.#rows, count, positions);
    this.#namer.note(type, this.#rows, count, copy, positions);
  }

  /** Counts records of several types, one type after the other. */
  #sort({ probe, views, offsets, count }: RingRecords, copy: RecordCopy): void {
    for (const type of probe.recordTypes) {
      let found = 0;
      for (let index = 0; index < count; index++) {
        const at = offsets[index] as number;
        if (recordTypeAt(probe, views, at) !== type) continue;
        this.#offsets[found] = at;
        this.#positions[found++] = index;
      }
      this.#count(type, { views, offsets: this.#offsets, count: found }, copy, this.#positions);
    }
  }
}

/** Participants that a record of the probe may have, with that of the head. */
function placesOf({ recordTypes }: Probe): number {
  return 1 + Math.max(...recordTypes.map(({ participants }) => participants.length));
}
