import type { Registry } from "prom-client";
import { Cgroups } from "../enrich/cgroups.ts";
import { NetnsNames } from "../enrich/netns.ts";
import { WallClock } from "../kernel/clock.ts";
import type { RingRecords } from "../kernel/drain.ts";
import { kindAt, kindsOf } from "../probes/kinds.ts";
import type { Aggregator, PartyColumns, Probe, RecordKind } from "../probes/probe.ts";
import type { TuplewatchEvent } from "./batch.ts";
import type { Names, PartyNames } from "./head.ts";
import type { Journal } from "./journal.ts";
import { RecordEvents } from "./record-events.ts";
import { TellingRecords } from "./telling.ts";

/** Rows that one batch can have; the drain hands over fewer. */
const MAX_ROWS = 4096;

type RecordsOfKind = Pick<RingRecords, "views" | "offsets" | "count">;

export interface IntakeOptions {
  /** By default no cgroup has a name but through a process in it. */
  readonly cgroups?: Cgroups;
  /** Hears of the events that findings may want, each after it is in the journal. */
  readonly observe?: ((event: TuplewatchEvent & { readonly seq: number }) => void) | undefined;
  readonly clock?: WallClock;
}

/** Takes records from the rings: counts them, notes their names, and keeps them in the journal. */
export class Intake {
  readonly #journal: Journal;
  readonly #clock: WallClock;
  readonly #cgroups: Cgroups;
  readonly #netns = new NetnsNames();
  readonly #aggregators = new Map<RecordKind, Aggregator>();
  readonly #delivered = new Map<string, number>();
  readonly #rows: Float64Array;
  readonly #offsets = new Int32Array(MAX_ROWS);
  readonly #observe: IntakeOptions["observe"];
  readonly #telling: TellingRecords;

  constructor(
    journal: Journal,
    registry: Registry,
    probes: readonly Probe[],
    options: IntakeOptions = {},
  ) {
    this.#journal = journal;
    this.#clock = options.clock ?? new WallClock();
    this.#cgroups = options.cgroups ?? new Cgroups(undefined);
    this.#observe = options.observe;
    this.#telling = new TellingRecords(registry);
    const kinds = probes.flatMap(kindsOf);
    for (const kind of kinds) this.#aggregators.set(kind, kind.createAggregator(registry));
    this.#rows = new Float64Array(MAX_ROWS * Math.max(...kinds.map((k) => k.columns.count)));
  }

  /** Records that went into the journal. */
  delivered(probe: string): number {
    return this.#delivered.get(probe) ?? 0;
  }

  take(records: RingRecords): void {
    const { probe } = records.probe;
    this.#telling.clear();
    const names = probe.secondary === undefined ? this.#count(probe, records) : this.#sort(records);
    const events = new RecordEvents(records, names, this.#clock.offsetNs);
    const firstSeq = this.#journal.nextSeq;
    this.#journal.append(events);
    this.#delivered.set(probe.name, this.delivered(probe.name) + records.count);
    if (this.#observe !== undefined) this.#tell(events, firstSeq, this.#observe);
  }

  #tell(
    events: RecordEvents,
    firstSeq: number,
    observe: NonNullable<IntakeOptions["observe"]>,
  ): void {
    for (const index of this.#telling.take()) {
      const seq = firstSeq + index;
      observe({ ...events.event(index, seq), seq });
    }
  }

  /** Counts records of one kind, and returns their names. */
  #count(kind: RecordKind, { views, offsets, count }: RecordsOfKind): Names[] {
    kind.columns.decode(views, offsets, count, this.#rows);
    this.#aggregators.get(kind)?.(this.#rows, count);
    this.#telling.note(kind, this.#rows, count);
    return this.#names(kind, count);
  }

  /** Counts records of several kinds, one kind after the other; the names are in ring order. */
  #sort({ probe: { probe }, views, offsets, count }: RingRecords): Names[] {
    const names = new Array<Names>(count);
    for (const kind of kindsOf(probe)) {
      const positions: number[] = [];
      for (let index = 0; index < count; index++) {
        const at = offsets[index] as number;
        if (kindAt(probe, views, at) === kind) this.#offsets[positions.push(index) - 1] = at;
      }
      const found = this.#count(kind, { views, offsets: this.#offsets, count: positions.length });
      this.#telling.place(positions);
      for (const [index, position] of positions.entries()) names[position] = found[index] ?? {};
    }
    return names;
  }

  #names({ columns, parties }: RecordKind, count: number): Names[] {
    const head = {
      cgroupId: columns.headCgroupId,
      pid: columns.headProcessPid,
      netnsInum: columns.headNetnsInum,
    };
    const names: Names[] = [];
    for (let index = 0, row = 0; index < count; index++, row += columns.count) {
      const named = this.#partyNames(head, row);
      names.push(
        parties === undefined
          ? named
          : { ...named, parties: parties.map((party) => this.#partyNames(party, row)) },
      );
    }
    return names;
  }

  /** Names that are known for a row's party now; later it may be gone. */
  #partyNames({ cgroupId, pid, netnsInum }: Omit<PartyColumns, "find">, row: number): PartyNames {
    const read = (column: number) => this.#rows[row + column] as number;
    const process = read(pid);
    const cgroup =
      cgroupId === undefined
        ? this.#cgroups.nameOfProcess(process)
        : this.#cgroups.name(read(cgroupId), process);
    const inum = netnsInum === undefined ? 0 : read(netnsInum);
    if (inum === 0) return { cgroup };
    const netns = this.#netns.name(inum, { pid: process, container: cgroup?.container });
    return { cgroup, netns };
  }
}
