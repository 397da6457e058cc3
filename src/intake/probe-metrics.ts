import { Counter, Gauge, type Registry } from "prom-client";
import { BLIND_CAUSES, type Blindness } from "../attach/blindness.ts";
import { setCounter } from "../util/set-counter.ts";

/** Where a probe's records went, from the kernel's attempt to the journal. */
export interface ProbeConservation {
  /** attempted = emitted + lost + filtered, in the kernel. */
  readonly attempted: number;
  readonly emitted: number;
  readonly lost: number;
  readonly filtered: number;
  /** Of the filtered ones. */
  readonly rateLimited: number;
  /** Of these, what is no fault. */
  readonly rateLimitedOrdinary: number;
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
  /** Why it does not see what it is there for. */
  readonly blindCause: Blindness["cause"] | undefined;
  readonly ringBytes: number;
  readonly ringFillBytes: number;
}

/** Asked at each scrape. */
export type ProbeStates = () => Promise<readonly ProbeState[]>;

/** Registers what the daemon tells of its own probes. */
export function registerProbeMetrics(registry: Registry, states: ProbeStates): void {
  registerAttached(registry, states);
  registerBlind(registry, states);
  registerConservation(registry, states);
  registerRings(registry, states);
}

function registerAttached(registry: Registry, states: ProbeStates): void {
  new Gauge({
    name: "tuplewatch_probe_attached",
    help: "1 for the backend by which a probe is attached, 0 for those it is not.",
    labelNames: ["probe", "backend"],
    registers: [registry],
    async collect() {
      for (const { probe, backends } of await states()) {
        for (const { name, attached } of backends) {
          this.set({ probe, backend: name }, attached ? 1 : 0);
        }
      }
    },
  });
}

function registerBlind(registry: Registry, states: ProbeStates): void {
  new Gauge({
    name: "tuplewatch_probe_blind",
    help: "1 while a probe does not see what it is there for, or tells less than half of it, by cause.",
    labelNames: ["probe", "cause"],
    registers: [registry],
    async collect() {
      for (const { probe, blindCause } of await states()) {
        for (const cause of BLIND_CAUSES) this.set({ probe, cause }, cause === blindCause ? 1 : 0);
      }
    },
  });
}

const COUNTS: Readonly<
  Record<
    Exclude<keyof ProbeConservation, "malformed" | "rateLimited" | "rateLimitedOrdinary">,
    string
  >
> = {
  attempted: "Events that a probe had to report: emitted + lost + filtered.",
  emitted: "Events that a probe put into its ring.",
  lost: "Events lost in the kernel because the ring or a map was full.",
  filtered: "Events held back in the kernel, by --connect-events or --max-events-per-second.",
  read: "Records that the daemon took from a probe's ring: delivered + dropped.",
  delivered: "Records that went into the journal.",
};

function registerConservation(registry: Registry, states: ProbeStates): void {
  for (const [count, help] of Object.entries(COUNTS) as [keyof typeof COUNTS, string][]) {
    new Counter({
      name: `tuplewatch_events_${count}_total`,
      help,
      labelNames: ["probe"],
      registers: [registry],
      async collect() {
        for (const { probe, conservation } of await states()) {
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
    async collect() {
      for (const { probe, conservation } of await states()) {
        setCounter(this, { probe, stage: "decode" }, conservation.malformed);
      }
    },
  });
  new Counter({
    name: "tuplewatch_events_rate_limited_total",
    help: "Of the filtered events, those above --max-events-per-second.",
    labelNames: ["probe"],
    registers: [registry],
    async collect() {
      for (const { probe, conservation } of await states()) {
        setCounter(this, { probe }, conservation.rateLimited);
      }
    },
  });
}

function registerRings(registry: Registry, states: ProbeStates): void {
  const register = (name: string, help: string, field: "ringBytes" | "ringFillBytes") =>
    new Gauge({
      name,
      help,
      labelNames: ["probe"],
      registers: [registry],
      async collect() {
        for (const state of await states()) this.set({ probe: state.probe }, state[field]);
      },
    });
  register("tuplewatch_ring_size_bytes", "Size of a probe's ring buffer.", "ringBytes");
  register(
    "tuplewatch_ring_fill_bytes",
    "Bytes that wait in a probe's ring buffer.",
    "ringFillBytes",
  );
}
