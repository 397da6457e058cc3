import type { Registry } from "prom-client";
import type { RingRecords } from "../attach/drain.ts";
import type { EventSink, TuplewatchEvent } from "../events/event.ts";
import { WallClock } from "../kernel/clock.ts";
import { Cgroups } from "../names/cgroups.ts";
import { registerNameMetrics } from "../names/metrics.ts";
import { NetnsNames } from "../names/netns.ts";
import type { LookupColumns, Probe, RecordType } from "../probes/probe.ts";
import { recordTypeAt } from "../probes/record-type.ts";
import { type Aggregator, createAggregator } from "./aggregator.ts";
import { FindingCandidates } from "./candidates.ts";
import type { Names, ParticipantNames } from "./head.ts";
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
  readonly #cgroups: Cgroups;
  readonly #netns: NetnsNames;
  readonly #aggregators = new Map<RecordType, Aggregator>();
  readonly #rows: Float64Array;
  readonly #offsets = new Int32Array(MAX_ROWS);
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
    this.#cgroups = options.cgroups ?? new Cgroups(undefined);
    this.#netns = options.netns ?? new NetnsNames();
    this.#observe = options.observe;
    this.#candidates = new FindingCandidates(registry);
    registerNameMetrics(registry, this.#netns);
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
    this.#netns.beginBatch();
    const [only, ...others] = probe.recordTypes;
    const names = others.length === 0 ? this.#count(only, records) : this.#sort(records);
    const events = new RecordEvents(records, names, this.#clock.readOffsetNs());
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

  /** Counts records of one recordType, and returns their names. */
  #count(recordType: RecordType, { views, offsets, count }: RecordsOfType): Names[] {
    recordType.decodeColumns(views, offsets, count, this.#rows);
    this.#aggregators.get(recordType)?.(this.#rows, count);
    this.#candidates.note(recordType, this.#rows, count);
    return this.#names(recordType, count);
  }

  /** Counts records of several types, one after the other; the names are in ring order. */
  #sort({ probe, views, offsets, count }: RingRecords): Names[] {
    const names = new Array<Names>(count);
    for (const recordType of probe.recordTypes) {
      const positions: number[] = [];
      for (let index = 0; index < count; index++) {
        const at = offsets[index] as number;
        if (recordTypeAt(probe, views, at) === recordType)
          this.#offsets[positions.push(index) - 1] = at;
      }
      const found = this.#count(recordType, {
        views,
        offsets: this.#offsets,
        count: positions.length,
      });
      this.#candidates.place(positions);
      for (const [index, position] of positions.entries()) names[position] = found[index] ?? {};
    }
    return names;
  }

  #names({ columnCount, head, participants }: RecordType, count: number): Names[] {
    const names: Names[] = [];
    for (let index = 0, row = 0; index < count; index++, row += columnCount) {
      const named = this.#participantNames(head, row);
      names.push(
        participants.length === 0
          ? named
          : { ...named, participants: participants.map((one) => this.#participantNames(one, row)) },
      );
    }
    return names;
  }

  /** Names that are known for a row's participant now; later it may be gone. */
  #participantNames(columns: LookupColumns, row: number): ParticipantNames {
    const { cgroupId, pid, netnsInum, netnsCookie } = columns;
    const read = (column: number) => this.#rows[row + column] as number;
    const process = read(pid);
    const cgroup =
      cgroupId === undefined
        ? this.#cgroups.nameOfProcess(process)
        : this.#cgroups.name(read(cgroupId), process);
    const inum = netnsInum === undefined ? 0 : read(netnsInum);
    const cookie = netnsCookie === undefined ? 0 : read(netnsCookie);
    // Cookies are counted up (gen_cookie_next(), include/linux/cookie.h): none gets that far.
    if (inum === 0 || !Number.isSafeInteger(cookie)) return { cgroup };
    return {
      cgroup,
      netns: this.#netns.name({ cookie: cookie || undefined, inum, pid: process }),
    };
  }
}
