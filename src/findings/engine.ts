import type { CloseReason, FindingKind } from "../events/finding-kinds.ts";
import type { QueryPorts } from "../ports/query.ts";
import type { DestinationOutlook } from "../ports/trend.ts";
import type { Detector, Environment, Step } from "./detector.ts";
import { createDetectors } from "./detectors.ts";
import type { FindingClock, FindingJson, Observation } from "./finding.ts";
import type { ObservedEvent } from "./observed.ts";
import { OpenFinding } from "./open-finding.ts";
import { PortQueryQueue } from "./port-query-queue.ts";
import { isSameShare, leastWorthKeeping } from "./room.ts";

export const MAX_ACTIVE = 256;
export const MAX_CLOSED = 256;

/** Of one user, of root in one cgroup: what else they cause takes the place of their own. */
export const MAX_SHARE = MAX_ACTIVE / 2;

const TICK_MS = 250;

/** A finding is an event on the stream at most this often, but for its beginning and end. */
const EMIT_MS = 1000;

/** Ports stay in TIME_WAIT for as long after a failure (TCP_TIMEWAIT_LEN, include/net/tcp.h). */
const YIELD_MS = 60_000;

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
  readonly queryPorts?: QueryPorts;
  readonly clock: FindingClock;
  readonly detectors?: readonly Detector[];
}

/** Turns events into findings: merges what belongs together, and closes what is over. */
export class FindingEngine {
  readonly #options: EngineOptions;
  #quietMs: number;
  readonly #detectors: readonly Detector[];
  readonly #portQueries: PortQueryQueue;
  /** Least recently observed first. */
  readonly #active = new Map<string, OpenFinding>();
  readonly #closed: OpenFinding[] = [];
  readonly #opened = new Map<FindingKind, number>();
  #evicted = 0;
  #refused = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#quietMs = options.quietMs;
    this.#detectors = options.detectors ?? createDetectors(options.environment);
    this.#portQueries = new PortQueryQueue(
      options.sink,
      (observations) => this.#observeAll(observations),
      options.queryPorts,
    );
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

  /** How the ports of network namespaces stand, whenever they were counted. */
  takePorts(outlooks: readonly DestinationOutlook[]): void {
    const { clock } = this.#options;
    const nowMs = clock.nowMs();
    const time = new Date(clock.wallMs(nowMs)).toISOString().replace("Z", "000000Z");
    for (const detector of this.#detectors) {
      const queries = detector.takePorts?.(outlooks, time, nowMs) ?? [];
      for (const query of queries) this.#portQueries.enqueue(detector, query);
    }
  }

  /** Tells changes and closes what has become quiet; `start` has it called a few times a second. */
  tick(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const detector of this.#detectors) {
      for (const query of detector.tick?.(nowMs) ?? []) this.#portQueries.enqueue(detector, query);
    }
    for (const finding of [...this.#active.values()]) {
      if (nowMs - finding.lastObservedMs >= this.#quietMs) this.#close(finding, "quiet");
      else if (finding.notable && nowMs - finding.emittedAtMs >= EMIT_MS) this.#emit(finding);
    }
  }

  /** As `quietMs` of the options, for open findings, too. */
  setQuietMs(quietMs: number): void {
    this.#quietMs = quietMs;
  }

  /** The wall clock was set: what was told as its time is another time now. */
  shiftTimes(byMs: number): void {
    for (const finding of [...this.#active.values(), ...this.#closed]) finding.shiftTimes(byMs);
  }

  /** Active ones, newest first, then closed ones, last closed first. */
  findings(): FindingJson[] {
    const newest = (findings: Iterable<OpenFinding>) => [...findings].reverse();
    return [...newest(this.#active.values()), ...newest(this.#closed)].map((f) => f.toJson());
  }

  activeFindings(): FindingJson[] {
    return [...this.#active.values()].map((finding) => finding.toJson());
  }

  get activeCount(): number {
    return this.#active.size;
  }

  /** Since the start. */
  opened(kind: FindingKind): number {
    return this.#opened.get(kind) ?? 0;
  }

  /** Findings closed to make room for newer ones. */
  get evicted(): number {
    return this.#evicted;
  }

  /** Findings that were not opened, because all others were worth more. */
  get refused(): number {
    return this.#refused;
  }

  /** Counts of local ports that findings did without, because too many were wanted at once. */
  get droppedPortQueries(): number {
    return this.#portQueries.dropped;
  }

  /** A detector that fails must not cost the event its place in the journal. */
  #run(detector: Detector, step: () => Step): void {
    try {
      const { observations, portQuery } = step();
      this.#observeAll(observations ?? []);
      if (portQuery !== undefined) this.#portQueries.enqueue(detector, portQuery);
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
    if (known === undefined && (!observation.opens || this.#mustYield(observation))) return;
    const finding = known ?? this.#open(observation);
    if (finding === undefined) return;
    known?.add(observation);
    finding.lastObservedMs = this.#options.clock.nowMs();
    this.#active.delete(id);
    this.#active.set(id, finding);
    if (observation.replaces !== undefined) this.#replace(finding, observation.replaces);
    if (known !== undefined) return;
    this.#emit(finding);
    this.#options.sink.opened(finding.toJson());
  }

  #mustYield({ yieldsTo = [] }: Observation): boolean {
    const sinceMs = this.#options.clock.nowMs() - YIELD_MS;
    return yieldsTo.some(
      ({ kind, key }) =>
        this.#active.has(`${kind} ${key}`) ||
        this.#closed.some(
          (one) => one.kind === kind && one.key === key && (one.closedAtMs ?? 0) > sinceMs,
        ),
    );
  }

  #open(observation: Observation): OpenFinding | undefined {
    const number = this.opened(observation.kind) + 1;
    const id = `${observation.kind}-${number}`;
    const finding = new OpenFinding(id, observation, this.#options.environment.locateNetns);
    finding.add(observation);
    if (!this.#makeRoom(finding, observation)) {
      this.#refused++;
      return undefined;
    }
    this.#opened.set(observation.kind, number);
    return finding;
  }

  /** False: the new one is worth least itself. */
  #makeRoom(finding: OpenFinding, { replaces }: Observation): boolean {
    if (replaces !== undefined && this.#active.has(`${replaces.kind} ${replaces.key}`)) return true;
    const active = [...this.#active.values()];
    const own = active.filter(({ principal }) => isSameShare(principal, finding.principal));
    if (own.length < MAX_SHARE && active.length < MAX_ACTIVE) return true;
    const rivals = own.length < MAX_SHARE ? active : own;
    const least = leastWorthKeeping([...rivals, finding]);
    if (least === undefined || least === finding) return false;
    this.#evicted++;
    this.#close(least, "evicted");
    return true;
  }

  /** The same evidence is never in two findings: what is replaced is not kept. */
  #replace(by: OpenFinding, replaces: NonNullable<Observation["replaces"]>): void {
    const { kind, key, isForecast } = replaces;
    const replaced = this.#active.get(`${kind} ${key}`);
    if (replaced === undefined) return;
    if (isForecast === undefined) by.absorb(replaced);
    this.#close(replaced, "replaced", by.id);
  }

  #close(finding: OpenFinding, reason: CloseReason, replacedBy?: string): void {
    this.#active.delete(`${finding.kind} ${finding.key}`);
    finding.close(reason, this.#options.clock, replacedBy);
    this.#emit(finding);
    this.#options.sink.closed(finding.toJson());
    if (reason === "replaced") return;
    this.#closed.push(finding);
    const least = this.#closed.length > MAX_CLOSED ? leastWorthKeeping(this.#closed) : undefined;
    if (least !== undefined) this.#closed.splice(this.#closed.indexOf(least), 1);
  }

  #emit(finding: OpenFinding): void {
    finding.noteEmitted(this.#options.clock.nowMs());
    this.#options.sink.emit(finding.toJson());
  }
}
