import type { Backend, Probe, Upkeep } from "../probes/probe.ts";
import {
  type AttachedProbe,
  type AttachSettings,
  attachProbe,
  closeProbe,
  detachProbe,
  isAttached,
  type PassedOver,
} from "./attach.ts";
import { readCounters } from "./counters.ts";
import { ProbeDrain, type RecordSink } from "./drain.ts";
import { moduleLoading } from "./modules.ts";

/** What became of a probe's events so far, over all the backends that it has had. */
export interface ProbeTotals {
  readonly attempted: number;
  readonly emitted: number;
  readonly lost: number;
  readonly filtered: number;
  /** Records taken from the ring, and those of the wrong size among them. */
  readonly read: number;
  readonly malformed: number;
}

const NOTHING: ProbeTotals = {
  attempted: 0,
  emitted: 0,
  lost: 0,
  filtered: 0,
  read: 0,
  malformed: 0,
};

export interface ProbeRunOptions {
  readonly backends: readonly Backend[];
  readonly settings: AttachSettings;
  readonly sink: RecordSink;
  onError(error: unknown): void;
}

/** A backend in the kernel, the reader of its ring and the probe's own timers for it. */
interface Source {
  readonly attached: AttachedProbe;
  readonly drain: ProbeDrain;
  readonly upkeep: Upkeep | undefined;
}

/** One probe from its first backend to its last: it may change when a kernel module comes or goes. */
export class ProbeRun {
  readonly probe: Probe;
  readonly #options: ProbeRunOptions;
  readonly #module: string | undefined;
  /** The one attached, and those before it that are being read to their end. */
  readonly #sources: Source[] = [];
  #current: AttachedProbe | undefined;
  #loading: number | undefined;
  #passedOver: readonly PassedOver[] = [];
  #retired = NOTHING;
  #changing: Promise<void> | undefined;

  constructor(probe: Probe, options: ProbeRunOptions) {
    this.probe = probe;
    this.#options = options;
    this.#module = options.backends.find(({ module }) => module !== undefined)?.module;
    this.#noteModule();
    this.#attach(options.backends);
  }

  get attached(): AttachedProbe | undefined {
    return this.#current;
  }

  get passedOver(): readonly PassedOver[] {
    return this.#passedOver;
  }

  totals(): ProbeTotals {
    return this.#sources.map(sourceTotals).reduce(add, this.#retired);
  }

  /**
   * Takes a better backend when the module it needs has been loaded, and another one when the
   * module is gone. True if the backend has changed. Cheap when nothing has happened.
   */
  followModule(): boolean {
    if (this.#changing !== undefined || !this.#noteModule()) return false;
    const before = this.attached;
    this.#change(before);
    if (this.attached === before) return false;
    const old = this.#sources.find(({ attached }) => attached === before);
    if (old === undefined) return true;
    this.#changing = this.#retire(old).finally(() => {
      this.#changing = undefined;
    });
    return true;
  }

  /** Ends the stream of records. */
  detach(): void {
    for (const { attached, upkeep } of this.#sources) {
      upkeep?.stop();
      detachProbe(attached);
    }
  }

  /** After `detach`: hands over what is left in the rings. */
  async finish(): Promise<void> {
    await this.#changing;
    for (const { drain } of this.#sources) {
      drain.stop();
      await drain.drain();
    }
  }

  close(): void {
    this.#current = undefined;
    for (const { attached } of this.#sources.splice(0)) closeProbe(attached);
  }

  /** Whether the module has come, gone or been exchanged since the last time. */
  #noteModule(): boolean {
    if (this.#module === undefined) return false;
    const before = this.#loading;
    this.#loading = moduleLoading(this.#module);
    return this.#loading !== before;
  }

  /** A backend that does not depend on the module stays unless a better one can be attached. */
  #change(before: AttachedProbe | undefined): void {
    const { backends } = this.#options;
    const place = backends.findIndex(({ name }) => name === before?.backend.name);
    const keep = before !== undefined && before.backend.module === undefined;
    const beforeAttach = () => {
      if (before !== undefined) detachProbe(before);
      this.#current = undefined;
    };
    if (keep && this.#attach(backends.slice(0, place), beforeAttach) === "refused") {
      this.#attach(backends);
    } else if (!keep) {
      beforeAttach();
      this.#attach(backends);
    }
  }

  /** "refused": none of them, although one could be loaded. */
  #attach(
    backends: readonly Backend[],
    beforeAttach?: () => void,
  ): "attached" | "none" | "refused" {
    const { settings, sink, onError } = this.#options;
    let loaded = false;
    const found = attachProbe(this.probe, backends, settings, () => {
      loaded = true;
      beforeAttach?.();
    });
    this.#passedOver = found.passedOver;
    if (!isAttached(found)) return loaded ? "refused" : "none";
    const drain = new ProbeDrain(found, sink, onError);
    const upkeep = this.probe.upkeep?.(found.object, onError);
    this.#sources.push({ attached: found, drain, upkeep });
    this.#current = found;
    return "attached";
  }

  /** Nothing that the old backend saw is lost: its ring is read to the end before it goes. */
  async #retire(source: Source): Promise<void> {
    const { attached, drain, upkeep } = source;
    upkeep?.stop();
    drain.stop();
    await drain.drain();
    this.#retired = add(this.#retired, sourceTotals(source));
    this.#sources.splice(this.#sources.indexOf(source), 1);
    closeProbe(attached);
  }
}

function sourceTotals({ attached, drain }: Source): ProbeTotals {
  const { read, malformed } = drain;
  return { ...readCounters(attached.object.map("counters")), read, malformed };
}

function add(left: ProbeTotals, right: ProbeTotals): ProbeTotals {
  return {
    attempted: left.attempted + right.attempted,
    emitted: left.emitted + right.emitted,
    lost: left.lost + right.lost,
    filtered: left.filtered + right.filtered,
    read: left.read + right.read,
    malformed: left.malformed + right.malformed,
  };
}
