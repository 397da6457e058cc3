import { BpfError, type BpfMap } from "libbpf-ts";
import type { Backend, Probe, WhileAttached } from "../probes/probe.ts";
import {
  type AttachedProbe,
  type AttachSettings,
  attachProbe,
  closeProbe,
  detachProbe,
  isAttached,
  type RejectedBackend,
} from "./attach.ts";
import { type Blindness, notAttached, Sight } from "./blindness.ts";
import { type KernelCounters, NO_EVENTS, readCounters } from "./counters.ts";
import { moduleInstanceId } from "./modules.ts";
import { ProbeMaps } from "./probe-maps.ts";

export interface ProbeRunOptions {
  /** Best first; none: nothing is attached. */
  readonly backends: readonly Backend[];
  readonly settings: Omit<AttachSettings, "maps">;
  readonly ringBytes: number;
  onError(error: unknown): void;
}

/** One probe from its first backend to its last: it may change when a kernel module comes or goes. */
export class ProbeRun {
  readonly probe: Probe;
  readonly #options: ProbeRunOptions;
  readonly #module: string | undefined;
  readonly #maps: ProbeMaps | undefined;
  readonly #sight = new Sight();
  #current: AttachedProbe | undefined;
  /** The probe's own timers for its backend. */
  #whileAttached: WhileAttached | undefined;
  #moduleInstance: number | undefined;
  #rejected: readonly RejectedBackend[] = [];
  /** Variables of the programs that were changed since the start. */
  #changed: Readonly<Record<string, number>> = {};

  constructor(probe: Probe, options: ProbeRunOptions) {
    this.probe = probe;
    this.#options = options;
    this.#module = options.backends.find(({ module }) => module !== undefined)?.module;
    this.#maps = this.#makeMaps();
  }

  /** Takes the best backend that works here. */
  attach(): void {
    if (this.#maps === undefined) return;
    this.#noteModule();
    this.#attach(this.#options.backends);
  }

  get attached(): AttachedProbe | undefined {
    return this.#current;
  }

  get rejected(): readonly RejectedBackend[] {
    return this.#rejected;
  }

  /** Undefined where it could not be made: nothing will be attached either. */
  get ring(): BpfMap | undefined {
    return this.#maps?.events;
  }

  /** Why it does not see what it is there for, as far as that shows. */
  get blindness(): Blindness | undefined {
    return this.#current === undefined ? notAttached(this.#rejected) : this.#sight.blindness;
  }

  /** Called about once a second. */
  look(): void {
    if (this.#current !== undefined) this.#sight.look(this.#current, this.totals());
  }

  /** What became of its events in the kernel so far, over all the backends that it has had. */
  totals(): KernelCounters {
    return this.#maps === undefined ? NO_EVENTS : readCounters(this.#maps.counters);
  }

  /** One of the probe's own maps; undefined where none could be made. */
  map(name: string): BpfMap | undefined {
    return this.#maps?.all.get(name);
  }

  /** Sets a variable of the programs, whichever are or will be attached. */
  setVariable(name: string, value: number): void {
    this.#changed = { ...this.#changed, [name]: value };
    this.#current?.object.setGlobal(name, BigInt(value));
  }

  /** Whether the module has come, gone or been exchanged since a backend was chosen. Cheap. */
  modulesChanged(): boolean {
    if (this.#module === undefined || this.#maps === undefined) return false;
    return moduleInstanceId(this.#module) !== this.#moduleInstance;
  }

  /**
   * Takes a better backend when the module it needs has been loaded, and another one when the
   * module is gone. True if the backend has changed.
   */
  followModule(): boolean {
    if (!this.modulesChanged()) return false;
    this.#noteModule();
    const before = this.#current;
    this.#change(before);
    return this.#current !== before;
  }

  /** Ends the stream of records. */
  detach(): void {
    this.#whileAttached?.stop();
    this.#whileAttached = undefined;
    if (this.#current !== undefined) detachProbe(this.#current);
  }

  close(): void {
    this.#release();
    this.#maps?.close();
  }

  /** Without the right to make them there is nothing to be attached either. */
  #makeMaps(): ProbeMaps | undefined {
    const { backends, ringBytes } = this.#options;
    if (backends.length === 0) return undefined;
    try {
      return ProbeMaps.create(ringBytes, this.probe.maps);
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
      const reason = error.message;
      this.#rejected = backends.map(({ name }) => ({ backend: name, reason }));
      return undefined;
    }
  }

  #noteModule(): void {
    this.#moduleInstance = this.#module === undefined ? undefined : moduleInstanceId(this.#module);
  }

  /** A backend that does not depend on the module stays unless a better one can be attached. */
  #change(before: AttachedProbe | undefined): void {
    const { backends } = this.#options;
    const place = backends.findIndex(({ name }) => name === before?.backend.name);
    const keep = before !== undefined && before.backend.module === undefined;
    const release = () => this.#release();
    if (keep && this.#attach(backends.slice(0, place), release) === "refused") {
      this.#attach(backends);
    } else if (!keep) {
      release();
      this.#attach(backends);
    }
  }

  /** Takes the backend out of the kernel; what it told is in the ring, which stays. */
  #release(): void {
    this.detach();
    if (this.#current !== undefined) closeProbe(this.#current);
    this.#current = undefined;
  }

  /** "refused": none of them, although one could be loaded. */
  #attach(
    backends: readonly Backend[],
    beforeAttach?: () => void,
  ): "attached" | "none" | "refused" {
    const { settings, onError } = this.#options;
    const maps = this.#maps;
    if (maps === undefined) return "none";
    let loaded = false;
    const globals = { ...settings.globals, ...this.#changed };
    const found = attachProbe(this.probe, backends, { ...settings, globals, maps }, () => {
      loaded = true;
      beforeAttach?.();
    });
    this.#rejected = found.rejected;
    if (!isAttached(found)) return loaded ? "refused" : "none";
    this.#whileAttached = this.probe.whileAttached?.(found.object, onError);
    this.#current = found;
    return "attached";
  }
}
