import type { RecordViews, StructLayout } from "libbpf-ts";
import type { Registry } from "prom-client";
import type { EventHead } from "./events.gen.ts";

/** One way of attaching a probe, best first in a probe's list. */
export interface Backend {
  readonly name: string;
  /** Programs of the probe's object that it attaches by their section. */
  readonly programs: readonly string[];
  /** Programs that it attaches to the cgroup2 root. */
  readonly cgroupPrograms?: readonly string[];
  /** Values of the object's constants (`config_*`) that make the programs fit this backend. */
  readonly globals?: Readonly<Record<string, number>>;
}

/** What the rest of an event is, beside the head that all have. JSON-ready, snake_case. */
export type EventBody = Readonly<Record<string, unknown>>;

/** A record after decoding: the head that all probes share, and the probe's own part. */
export interface DecodedRecord {
  readonly head: EventHead;
  readonly body: EventBody;
}

/** Counts the records of one batch; called once per batch, before anybody reads an event. */
export type Aggregator = (views: RecordViews, offsets: Int32Array, count: number) => void;

export interface ProbeSettings {
  readonly connectEvents: "all" | "failed" | "none";
}

/** One signal: everything that is particular to it, apart from its C program. */
export interface Probe {
  /** The one name: of the C file, the event type, the metrics, the panel and the tests. */
  readonly name: string;
  readonly backends: readonly Backend[];
  /** Layout of the records, checked against the object when it is loaded. */
  readonly layout: StructLayout;
  readonly globals?: (settings: ProbeSettings) => Readonly<Record<string, number>>;
  decode(views: RecordViews, at: number): DecodedRecord;
  /** Registers the probe's own metrics. */
  createAggregator(registry: Registry): Aggregator;
}
