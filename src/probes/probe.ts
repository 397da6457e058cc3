import type { LoadedObject, RecordViews, StructLayout } from "libbpf-ts";
import type { ProbeEventType } from "../events/event-types.ts";
import type { EventHead } from "../events/events.gen.ts";
import type { CounterSpec, HistogramSpec } from "./metric-specs.ts";

export interface Kprobe {
  readonly program: string;
  /** A compiler's suffix, such as .constprop.0, is found by itself. */
  readonly functionName: string;
  /** At the function's return. */
  readonly ret?: boolean;
}

/** Programs that know as much as a backend's own, and cost more. */
export interface Otherwise {
  readonly programs: readonly string[];
  /** For people: what they hook instead, and how often they run. */
  readonly cost: string;
}

/** One way of attaching a probe, best first in a probe's list. */
export interface Backend {
  readonly name: string;
  /** First of the kernels it is tested on that permits it; docs/reference/kernels.md has it. */
  readonly sinceKernel: string;
  /** What it cannot know, as that page says it. */
  readonly blindTo?: string;
  /** Kernel module whose functions it attaches to; may be loaded after the daemon has started. */
  readonly module?: string;
  /**
   * Objects with its programs, best first: the first that this kernel loads is taken. By default that
   * of the probe's own name.
   */
  readonly objects?: readonly string[];
  /** Programs of the probe's object that it attaches by their section. */
  readonly programs: readonly string[];
  /** Takes the place of `programs` where those cannot be attached. */
  readonly otherwise?: Otherwise;
  /** Programs that it loads for the daemon to run; nothing in the kernel calls them. */
  readonly calledPrograms?: readonly string[];
  /** Programs that it attaches to the cgroup2 root. */
  readonly cgroupPrograms?: readonly string[];
  /** Programs that it attaches as kprobes, each to a kernel function. */
  readonly kprobes?: readonly Kprobe[];
  /** Programs of the above that are left out where the kernel has no such function, by program. */
  readonly optional?: Readonly<Record<string, string>>;
  /** Values of the object's constants (`config_*`) that make the programs fit this backend. */
  readonly globals?: Globals;
}

/** Values of an object's variables: of an array all bytes. */
export type Globals = Readonly<Record<string, number | Uint8Array>>;

/** A map that outlives a change of the backend, as the programs define it. */
export interface KeptMap {
  readonly name: string;
  /** One of MapType. */
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
}

/** A record after decoding, JSON-ready but for the head, which all probes share. */
export interface DecodedRecord {
  readonly type: string;
  readonly head: EventHead;
  readonly body: Readonly<Record<string, unknown>>;
}

/** An object in an event's body that stands for a process other than the head's. */
export interface Participant {
  readonly process?: object;
  cgroup?: object;
  netns?: object;
}

/** Where a row has what the names of a process are looked up by: indexes of columns. */
export interface LookupColumns {
  readonly pid: number;
  /** Absent where the record tells the process only. */
  readonly cgroupId?: number | undefined;
  readonly netnsInum?: number | undefined;
  readonly netnsCookie?: number | undefined;
}

/** A participant of a record type, and its place in the event. */
export interface ParticipantColumns extends LookupColumns {
  find(body: DecodedRecord["body"]): Participant | undefined;
}

export interface ProbeSettings {
  readonly connectEvents: "auto" | "all" | "failed" | "none";
}

/** What the daemon makes of the records of one type. */
export interface RecordType {
  readonly eventType: ProbeEventType;
  /** The type as the head of a record has it. */
  readonly eventNumber: number;
  /** Layout of the records, checked against the object when it is loaded. */
  readonly layout: StructLayout;
  /** Numbers in a row. */
  readonly columnCount: number;
  /** Fills a row with the numbers that are needed of every record. */
  decodeColumns(views: RecordViews, offsets: Int32Array, count: number, rows: Float64Array): void;
  readonly head: LookupColumns;
  /** Whose names are looked up beside those of the head. */
  readonly participants: readonly ParticipantColumns[];
  decode(views: RecordViews, at: number): DecodedRecord;
  /**
   * Whether findings may want the record whose columns begin at `row`; absent: all of them. It is
   * asked for each record, so it must be cheap.
   */
  readonly isFindingCandidate: ((rows: Float64Array, row: number) => boolean) | undefined;
  readonly counters: readonly CounterSpec[];
  readonly histograms: readonly HistogramSpec[];
}

/** Work that goes on while a probe is attached. */
export interface WhileAttached {
  stop(): void;
}

/** One signal: everything that is particular to it, apart from its C program. */
export interface Probe {
  /** The one name: of the C file, the event type, the metrics, the panel and the tests. */
  readonly name: string;
  /** For readers: the kernel's moment that it hooks, and what that explains. */
  readonly signal: { readonly moment: string; readonly explains: string };
  readonly backends: readonly Backend[];
  /** Of the records in its ring, its own first. */
  readonly recordTypes: readonly [RecordType, ...RecordType[]];
  /** Variables of the object that settings decide. */
  readonly globals?: (settings: ProbeSettings) => Globals;
  /** Maps beside those that all probes have. */
  readonly maps?: readonly KeptMap[];
  /** What the daemon does for the probe while it is attached. */
  readonly whileAttached?: (
    object: LoadedObject,
    onError: (error: unknown) => void,
  ) => WhileAttached;
}
