import type { Registry } from "prom-client";
import { Cgroups } from "../enrich/cgroups.ts";
import { NetnsNames } from "../enrich/netns.ts";
import { WallClock } from "../kernel/clock.ts";
import type { RingRecords } from "../kernel/drain.ts";
import type { Aggregator, Columns, Probe } from "../probes/probe.ts";
import type { Names } from "./head.ts";
import type { Journal } from "./journal.ts";
import { RecordEvents } from "./record-events.ts";

/** Rows that one batch can have; the drain hands over fewer. */
const MAX_ROWS = 4096;

/** Takes records from the rings: counts them, notes their names, and keeps them in the journal. */
export class Intake {
  readonly #journal: Journal;
  readonly #clock: WallClock;
  readonly #cgroups: Cgroups;
  readonly #netns = new NetnsNames();
  readonly #aggregators = new Map<string, Aggregator>();
  readonly #delivered = new Map<string, number>();
  readonly #rows: Float64Array;

  /** `cgroupMount`: where cgroup2 is mounted, if it is. */
  constructor(
    journal: Journal,
    registry: Registry,
    probes: readonly Probe[],
    cgroupMount: string | undefined,
    clock = new WallClock(),
  ) {
    this.#journal = journal;
    this.#clock = clock;
    this.#cgroups = new Cgroups(cgroupMount);
    for (const probe of probes) this.#aggregators.set(probe.name, probe.createAggregator(registry));
    this.#rows = new Float64Array(MAX_ROWS * Math.max(...probes.map((p) => p.columns.count)));
  }

  /** Records that went into the journal. */
  delivered(probe: string): number {
    return this.#delivered.get(probe) ?? 0;
  }

  take(records: RingRecords): void {
    const { probe } = records.probe;
    const { columns } = probe;
    columns.decode(records.views, records.offsets, records.count, this.#rows);
    this.#aggregators.get(probe.name)?.(this.#rows, records.count);
    const names = this.#names(columns, records.count);
    this.#journal.append(new RecordEvents(records, names, this.#clock.offsetNs));
    this.#delivered.set(probe.name, this.delivered(probe.name) + records.count);
  }

  #names(columns: Columns, count: number): Names[] {
    const rows = this.#rows;
    const names: Names[] = [];
    for (let index = 0, row = 0; index < count; index++, row += columns.count) {
      const cgroupId = rows[row + columns.headCgroupId] as number;
      const pid = rows[row + columns.headProcessPid] as number;
      names.push({
        cgroupPath: cgroupId === 0 ? undefined : this.#cgroups.path(cgroupId, pid),
        netns: this.#netns.name(rows[row + columns.headNetnsInum] as number),
      });
    }
    return names;
  }
}
