import { Counter, Gauge, type Registry } from "prom-client";
import { setCounter } from "./kernel-metrics.ts";

/** Where a probe's records went, from the kernel's attempt to the journal. */
export interface ProbeConservation {
  /** attempted = emitted + lost + filtered, in the kernel. */
  readonly attempted: number;
  readonly emitted: number;
  readonly lost: number;
  readonly filtered: number;
  /** read = delivered + malformed, in the daemon; emitted - read is still in the ring. */
  readonly read: number;
  readonly delivered: number;
  readonly malformed: number;
}

export interface ProbeState {
  readonly probe: string;
  /** Each backend that the probe has, and whether it is the one attached. */
  readonly backends: readonly { readonly name: string; readonly attached: boolean }[];
  readonly conservation: ProbeConservation;
  readonly ringBytes: number;
  readonly ringFillBytes: number;
}

/** Registers what the daemon tells of its own probes; `states` is asked at each scrape. */
export function registerProbeMetrics(registry: Registry, states: () => ProbeState[]): void {
  registerAttached(registry, states);
  registerConservation(registry, states);
  registerRings(registry, states);
}

function registerAttached(registry: Registry, states: () => ProbeState[]): void {
  new Gauge({
    name: "tuplewatch_probe_attached",
    help: "1 for the backend by which a probe is attached, 0 for those it is not.",
    labelNames: ["probe", "backend"],
    registers: [registry],
    collect() {
      for (const { probe, backends } of states()) {
        for (const { name, attached } of backends) {
          this.set({ probe, backend: name }, attached ? 1 : 0);
        }
      }
    },
  });
}

const COUNTS: Readonly<Record<Exclude<keyof ProbeConservation, "malformed">, string>> = {
  attempted: "Events that a probe had to report: emitted + lost + filtered.",
  emitted: "Events that a probe put into its ring.",
  lost: "Events lost in the kernel because the ring or a map was full.",
  filtered: "Events held back in the kernel, by --connect-events or --max-events-per-second.",
  read: "Records that the daemon took from a probe's ring: delivered + dropped.",
  delivered: "Records that went into the journal.",
};

function registerConservation(registry: Registry, states: () => ProbeState[]): void {
  for (const [count, help] of Object.entries(COUNTS) as [keyof typeof COUNTS, string][]) {
    new Counter({
      name: `tuplewatch_events_${count}_total`,
      help,
      labelNames: ["probe"],
      registers: [registry],
      collect() {
        for (const { probe, conservation } of states()) {
          setCounter(this, { probe }, conservation[count]);
        }
      },
    });
  }
  new Counter({
    name: "tuplewatch_events_dropped_total",
    help: "Records that the daemon dropped, by the stage that dropped them.",
    labelNames: ["probe", "stage"],
    registers: [registry],
    collect() {
      for (const { probe, conservation } of states()) {
        setCounter(this, { probe, stage: "decode" }, conservation.malformed);
      }
    },
  });
}

function registerRings(registry: Registry, states: () => ProbeState[]): void {
  const register = (name: string, help: string, field: "ringBytes" | "ringFillBytes") =>
    new Gauge({
      name,
      help,
      labelNames: ["probe"],
      registers: [registry],
      collect() {
        for (const state of states()) this.set({ probe: state.probe }, state[field]);
      },
    });
  register("tuplewatch_ring_size_bytes", "Size of a probe's ring buffer.", "ringBytes");
  register(
    "tuplewatch_ring_fill_bytes",
    "Bytes that wait in a probe's ring buffer.",
    "ringFillBytes",
  );
}
