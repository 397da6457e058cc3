import type { LoadedObject, RecordViews, StructLayout } from "libbpf-ts";
import type { Registry } from "prom-client";
import type { EventHead } from "./events.gen.ts";

export interface Kprobe {
  readonly program: string;
  /** A compiler's suffix, such as .constprop.0, is found by itself. */
  readonly functionName: string;
  /** At the function's return. */
  readonly ret?: boolean;
}

/** One way of attaching a probe, best first in a probe's list. */
export interface Backend {
  readonly name: string;
  /** Kernel module whose functions it attaches to; may be loaded after the daemon has started. */
  readonly module?: string;
  /** Programs of the probe's object that it attaches by their section. */
  readonly programs: readonly string[];
  /** Programs that it loads for the daemon to run; nothing in the kernel calls them. */
  readonly calledPrograms?: readonly string[];
  /** Programs that it attaches to the cgroup2 root. */
  readonly cgroupPrograms?: readonly string[];
  /** Programs that it attaches as kprobes, each to a kernel function. */
  readonly kprobes?: readonly Kprobe[];
  /** Programs of the above that are left out where the kernel has no such function, by program. */
  readonly optional?: Readonly<Record<string, string>>;
  /** Values of the object's constants (`config_*`) that make the programs fit this backend. */
  readonly globals?: Readonly<Record<string, number>>;
}

/** A record after decoding, JSON-ready but for the head, which all probes share. */
export interface DecodedRecord {
  readonly type: string;
  readonly head: EventHead;
  readonly body: Readonly<Record<string, unknown>>;
}

/** The generated loop that reads the fields needed of every record, and where they are in a row. */
export interface Columns {
  readonly count: number;
  readonly headCgroupId: number;
  readonly headProcessPid: number;
  readonly headNetnsInum: number;
  decode(views: RecordViews, offsets: Int32Array, count: number, rows: Float64Array): void;
}

/** An object in an event's body that stands for a process other than the head's. */
export interface Party {
  readonly process?: object;
  cgroup?: object;
  netns?: object;
}

/** Where a record has such a party: indexes of its columns, and the place in the event. */
export interface PartyColumns {
  readonly pid: number;
  /** Absent where the record tells the process only. */
  readonly cgroupId?: number;
  readonly netnsInum?: number;
  find(body: DecodedRecord["body"]): Party | undefined;
}

/** Counts the records of one batch; `rows` holds `count` rows of the probe's columns. */
export type Aggregator = (rows: Float64Array, count: number) => void;

export interface ProbeSettings {
  readonly connectEvents: "all" | "failed" | "none";
}

/** What the daemon makes of the records of one type. */
export interface RecordKind {
  /** Layout of the records, checked against the object when it is loaded. */
  readonly layout: StructLayout;
  readonly columns: Columns;
  /** Whose names are looked up beside those of the head. */
  readonly parties?: readonly PartyColumns[];
  decode(views: RecordViews, at: number): DecodedRecord;
  /**
   * Whether findings may want the record whose columns begin at `row`; absent: all of them. It is
   * asked for each record, so it must be cheap.
   */
  readonly isTelling?: (rows: Float64Array, row: number) => boolean;
  /** Registers the metrics of these records. */
  createAggregator(registry: Registry): Aggregator;
}

/** Records that a probe sends beside its main ones, told apart by the type in their head. */
export interface SecondaryRecord extends RecordKind {
  /** Number in enum event_type. */
  readonly eventType: number;
}

/** Work that goes on while a probe is attached. */
export interface Upkeep {
  stop(): void;
}

/** One signal: everything that is particular to it, apart from its C program. */
export interface Probe extends RecordKind {
  /** The one name: of the C file, the event type, the metrics, the panel and the tests. */
  readonly name: string;
  readonly backends: readonly Backend[];
  /** Other records in the same ring. */
  readonly secondary?: readonly SecondaryRecord[];
  /** Constants (`config_*`) of the object that settings decide. */
  readonly globals?: (settings: ProbeSettings) => Readonly<Record<string, number>>;
  /** What the daemon does for the probe while it is attached. */
  readonly upkeep?: (object: LoadedObject, onError: (error: unknown) => void) => Upkeep;
}
