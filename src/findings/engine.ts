import { CensusDesk } from "./census-desk.ts";
import type { Detector, Environment, PortCensus, Step } from "./detector.ts";
import { createDetectors } from "./detectors.ts";
import type { CloseReason, FindingJson, FindingKind, Observation } from "./finding.ts";
import type { ObservedEvent } from "./observed.ts";
import { OpenFinding } from "./open-finding.ts";

export const MAX_ACTIVE = 256;
export const MAX_CLOSED = 256;

const TICK_MS = 250;

/** A finding is an event on the stream at most this often, but for its beginning and end. */
const EMIT_MS = 1000;

/** Where findings are told of. */
export interface FindingSink {
  /** For the stream: when one opens, changes notably and closes. */
  emit(finding: FindingJson): void;
  opened(finding: FindingJson): void;
  closed(finding: FindingJson): void;
  failed(operation: string, error: unknown): void;
}

export interface EngineOptions {
  readonly sink: FindingSink;
  /** A finding closes when nothing was observed of it for this long. */
  readonly quietMs: number;
  readonly environment: Environment;
  /** Without one, findings do not say who holds ports. */
  readonly census?: PortCensus;
  /** Time since 1970, ms. */
  readonly nowMs?: () => number;
  readonly detectors?: readonly Detector[];
}

/** Turns events into findings: merges what belongs together, and closes what is over. */
export class FindingEngine {
  readonly #options: EngineOptions;
  readonly #nowMs: () => number;
  readonly #detectors: readonly Detector[];
  readonly #desk: CensusDesk;
  /** Least recently observed first. */
  readonly #active = new Map<string, OpenFinding>();
  readonly #closed: OpenFinding[] = [];
  readonly #opened = new Map<FindingKind, number>();
  #evicted = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
    this.#detectors = options.detectors ?? createDetectors(options.environment);
    this.#desk = new CensusDesk(options.sink, (observations) => this.#observeAll(observations));
    this.#desk.census = options.census;
  }

  set census(census: PortCensus) {
    this.#desk.census = census;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.tick(), TICK_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** An event in the order of the journal, with the number that it has there. */
  take(event: ObservedEvent): void {
    for (const detector of this.#detectors) {
      if (detector.types.includes(event.type)) this.#run(detector, () => detector.take(event));
    }
  }

  /** Tells changes and closes what has become quiet; `start` has it called a few times a second. */
  tick(): void {
    const nowMs = this.#nowMs();
    for (const detector of this.#detectors) {
      for (const question of detector.tick?.(nowMs) ?? []) this.#desk.ask(detector, question);
    }
    for (const finding of [...this.#active.values()]) {
      if (nowMs - finding.lastObservedMs >= this.#options.quietMs) this.#close(finding, "quiet");
      else if (finding.notable && nowMs - finding.emittedAtMs >= EMIT_MS) this.#emit(finding);
    }
  }

  /** Active ones, newest first, then closed ones, last closed first. */
  findings(): FindingJson[] {
    const newest = (findings: Iterable<OpenFinding>) => [...findings].reverse();
    return [...newest(this.#active.values()), ...newest(this.#closed)].map((f) => f.toJson());
  }

  activeFindings(): FindingJson[] {
    return [...this.#active.values()].map((finding) => finding.toJson());
  }

  /** Since the start. */
  opened(kind: FindingKind): number {
    return this.#opened.get(kind) ?? 0;
  }

  /** Findings closed to make room for newer ones. */
  get evicted(): number {
    return this.#evicted;
  }

  /** A detector that fails must not cost the event its place in the journal. */
  #run(detector: Detector, step: () => Step): void {
    try {
      const { observations, question } = step();
      this.#observeAll(observations ?? []);
      if (question !== undefined) this.#desk.ask(detector, question);
    } catch (error) {
      this.#options.sink.failed("conclude from an event", error);
    }
  }

  #observeAll(observations: readonly Observation[]): void {
    for (const observation of observations) this.#observe(observation);
  }

  #observe(observation: Observation): void {
    const id = `${observation.kind} ${observation.key}`;
    const known = this.#active.get(id);
    if (known === undefined && !observation.opens) return;
    const finding = known ?? this.#open(observation);
    finding.add(observation);
    finding.lastObservedMs = this.#nowMs();
    this.#active.delete(id);
    this.#active.set(id, finding);
    if (observation.replaces !== undefined) this.#replace(finding, observation.replaces);
    if (known !== undefined) return;
    this.#emit(finding);
    this.#options.sink.opened(finding.toJson());
  }

  #open(observation: Observation): OpenFinding {
    const [oldest] = this.#active.values();
    if (this.#active.size >= MAX_ACTIVE && oldest !== undefined) {
      this.#evicted++;
      this.#close(oldest, "evicted");
    }
    const number = this.opened(observation.kind) + 1;
    this.#opened.set(observation.kind, number);
    return new OpenFinding(`${observation.kind}-${number}`, observation);
  }

  /** The same evidence is never in two findings: what is replaced is not kept. */
  #replace(by: OpenFinding, { kind, key }: NonNullable<Observation["replaces"]>): void {
    const replaced = this.#active.get(`${kind} ${key}`);
    if (replaced === undefined) return;
    by.absorb(replaced);
    this.#close(replaced, "replaced", by.id);
  }

  #close(finding: OpenFinding, reason: CloseReason, replacedBy?: string): void {
    this.#active.delete(`${finding.kind} ${finding.key}`);
    finding.close(reason, this.#nowMs(), replacedBy);
    this.#emit(finding);
    this.#options.sink.closed(finding.toJson());
    if (reason === "replaced") return;
    this.#closed.push(finding);
    if (this.#closed.length > MAX_CLOSED) this.#closed.shift();
  }

  #emit(finding: OpenFinding): void {
    finding.noteEmitted(this.#nowMs());
    this.#options.sink.emit(finding.toJson());
  }
}
