import { release } from "node:os";
import type { RingBuffer } from "libbpf-ts";
import { type DrainCounts, ProbeDrain } from "../../attach/drain.ts";
import type { StateAnswer } from "../../channel/answers.ts";
import { PortWatch } from "../../findings/port-watch.ts";
import type {
  KernelStatus,
  Privileges,
  ProbeStatus,
  Readiness,
} from "../../http/openapi/status.schema.ts";
import { Intake } from "../../intake/intake.ts";
import { type ProbeState, registerProbeMetrics } from "../../intake/probe-metrics.ts";
import { gapBatch } from "../../journal/batch.ts";
import type { Journal } from "../../journal/journal.ts";
import { findCgroup2Mount } from "../../kernel/cgroup2.ts";
import { CgroupNames } from "../../names/cgroup-names.ts";
import { type CgroupName, Cgroups } from "../../names/cgroups.ts";
import { NetnsNames } from "../../names/netns.ts";
import { registerNamespaceMetrics } from "../../ports/metrics.ts";
import { namespaceStatus } from "../../ports/status.ts";
import { PortTrends } from "../../ports/trend.ts";
import type { Probe } from "../../probes/probe.ts";
import type { DaemonContext, KernelStage } from "../daemon.ts";
import { WarnOnce } from "../log/warn-once.ts";
import { LossReport } from "../losses.ts";
import { Continuity } from "./continuity.ts";
import { drainCounts, type Legacy, type Life, type LifeCounts, NOTHING } from "./life.ts";
import { registerRemoteMetrics } from "./metrics.ts";
import { type Asks, type AsksAndWaits, RemoteNetnsResolver, RemoteScans } from "./remote-kernel.ts";
import { blindProbes, RemoteState } from "./remote-state.ts";

/** How often losses in the kernel are looked for, and the privileged process hears from us. */
const CHECK_MS = 1000;

/** A probe of which another process has attached the programs. */
export interface ReadProbe {
  readonly probe: Probe;
  readonly ring: RingBuffer | undefined;
}

export interface RemoteParts {
  readonly channel: Asks;
  readonly waitingChannel: AsksAndWaits;
  readonly probes: readonly ReadProbe[];
  readonly cgroupPaths: RingBuffer | undefined;
  readonly life: Life;
  readonly legacy: Legacy;
  /** Of this process. */
  readonly droppedLogLines: () => number;
}

/** What the probes see, read from their rings: everything goes into the journal. */
export class RemoteWatch implements KernelStage {
  readonly #context: DaemonContext;
  readonly #parts: RemoteParts;
  readonly #scans: RemoteScans;
  readonly #portTrends = new PortTrends();
  readonly #portWatch: PortWatch;
  readonly #cgroupNames: CgroupNames | undefined;
  #cgroups: Cgroups | undefined;
  readonly #drains: (ProbeDrain | undefined)[] = [];
  readonly #warn: WarnOnce;
  readonly #state: RemoteState;
  readonly #continuity: Continuity;
  #isPaused = false;
  #isStreamed = false;
  #journal: Journal | undefined;
  #losses: LossReport | undefined;
  #intake: Intake | undefined;
  #check: NodeJS.Timeout | undefined;
  #onAttached = () => {};

  constructor(context: DaemonContext, parts: RemoteParts) {
    this.#context = context;
    this.#parts = parts;
    this.#scans = new RemoteScans(parts.channel);
    this.#portWatch = new PortWatch({
      scans: this.#scans,
      trends: this.#portTrends,
      take: (outlooks) => context.findings.takePorts(outlooks),
      onError: (error) => this.#warn.tell(error, "look at the local ports"),
    });
    this.#cgroupNames = parts.cgroupPaths && new CgroupNames(parts.cgroupPaths);
    this.#warn = new WarnOnce(context.logger);
    this.#state = new RemoteState(parts.channel, (error) =>
      this.#warn.tell(error, "look at the probes"),
    );
    this.#continuity = new Continuity(parts.life, parts.legacy, () => this.#now());
  }

  async start(journal: Journal): Promise<void> {
    const { logger, findings, clock, registry, config } = this.#context;
    const { probes, legacy, waitingChannel, droppedLogLines } = this.#parts;
    this.#journal = journal;
    registerProbeMetrics(registry, () => this.#states());
    registerNamespaceMetrics(registry, this.#scans, this.#portTrends);
    registerRemoteMetrics(registry, this.#state, {
      hasProgramStats: config.programStats === "on",
      droppedLogLines,
      onError: (error) => this.#warn.tell(error, "kernel counters"),
    });
    const names = new Cgroups(findCgroup2Mount(), (id) => this.#cgroupNames?.path(id));
    this.#cgroups = names;
    this.#intake = new Intake(
      journal,
      registry,
      probes.map(({ probe }) => probe),
      {
        cgroups: names,
        netns: new NetnsNames(new RemoteNetnsResolver(waitingChannel)),
        observe: (event) => findings.take(event),
        clock,
      },
    );
    await this.#attached();
    this.#losses = this.#rememberLosses(new LossReport(journal, logger));
    if (legacy.nextSeq > 0) journal.append(gapBatch({ where: "restart" }));
    for (const [index, { probe, ring }] of probes.entries()) {
      this.#drains.push(ring && this.#drain(index, probe, ring));
    }
    this.#portWatch.start();
    this.#check = setInterval(() => this.#look(), CHECK_MS);
    this.#look();
  }

  /** All is attached, and read from. */
  get isStarted(): boolean {
    return this.#check !== undefined;
  }

  /** Of its id alone; undefined where it is not known any more, or was never. */
  cgroupName(id: number): CgroupName | undefined {
    return this.#cgroups?.name(id, 0);
  }

  /** A probe has another backend, or all have one now. */
  takeState(state: StateAnswer): void {
    this.#state.take(state);
    this.#isPaused = false;
    if (state.isAttached) this.#onAttached();
  }

  /** Nobody tells names for a while: until the next state, records wait in their rings. */
  pause(): void {
    this.#isPaused = true;
  }

  /** Events are read as they come, or no longer. */
  setStreamed(isStreamed: boolean): void {
    this.#isStreamed = isStreamed;
    for (const drain of this.#drains) drain?.setStreamed(isStreamed);
  }

  /** The journal has one more entry. */
  noteAppend(): void {
    if (this.#journal !== undefined) this.#continuity.note();
  }

  async status(): Promise<KernelStatus> {
    const states = await this.#states();
    return {
      release: release(),
      libbpf: this.#state.latest?.libbpf ?? "",
      probes: states.map((state, index) => this.#probeStatus(state, index)),
      ...(await namespaceStatus(this.#scans)),
    };
  }

  /** Not ready when nothing at all is seen of what was asked for. */
  ready(): Readiness {
    if (this.#context.config.backend === "counters") return { ok: true };
    const probes = this.#state.latest?.probes ?? [];
    const blind = blindProbes(probes);
    const detail = blind.length > 0 ? { blind } : {};
    if (probes.every(({ backend }) => backend === undefined)) {
      return { ok: false, reason: "no probe is attached; see /status", ...detail };
    }
    if (blind.length < probes.length) return { ok: true, ...detail };
    return { ok: false, reason: "every probe is blind", ...detail };
  }

  privileges(): Privileges | undefined {
    return this.#state.latest?.privileges;
  }

  /** Reads what is left in the rings. */
  async stop(): Promise<void> {
    clearInterval(this.#check);
    this.#portWatch.stop();
    this.#isPaused = false;
    for (const drain of this.#drains) {
      drain?.stop();
      await drain?.drain();
    }
    for (const { ring } of this.#parts.probes) ring?.close();
    this.#cgroupNames?.close();
  }

  #attached(): Promise<void> {
    return new Promise((resolve) => {
      this.#onAttached = resolve;
      if (this.#state.latest?.isAttached) resolve();
    });
  }

  /** What was lost while nobody served is told, too. */
  #rememberLosses(losses: LossReport): LossReport {
    for (const [index, { probe }] of this.#parts.probes.entries()) {
      const { toldLost: lost, toldRateLimited: rateLimited } = this.#legacyOf(index);
      losses.remember(probe.name, { lost, rateLimited });
    }
    return losses;
  }

  #drain(index: number, probe: Probe, ring: RingBuffer): ProbeDrain {
    const { logger } = this.#context;
    return new ProbeDrain(probe, ring, {
      before: drainCounts(this.#legacyOf(index)),
      sink: (records) => {
        this.#continuity.beginBatch();
        this.#intake?.take(records);
      },
      isStreamed: this.#isStreamed,
      isPaused: () => this.#isPaused,
      onHandled: () => this.#continuity.endBatch({ probe: index, end: ring.taken }),
      onError: (error) => logger.error({ err: error, probe: probe.name }, "read probe"),
    });
  }

  #now(): Legacy {
    const counts = this.#parts.probes.map(({ probe }, index): LifeCounts => {
      const told = this.#losses?.told(probe.name);
      return {
        ...this.#legacyOf(index),
        ...this.#counts(index),
        ...(told && { toldLost: told.lost, toldRateLimited: told.rateLimited }),
      };
    });
    return { nextSeq: this.#journal?.nextSeq ?? 0, counts };
  }

  #counts(index: number): DrainCounts {
    return this.#drains[index]?.counts ?? drainCounts(this.#legacyOf(index));
  }

  #legacyOf(index: number): LifeCounts {
    return this.#parts.legacy.counts[index] ?? NOTHING;
  }

  #look(): void {
    const { channel } = this.#parts;
    const events = BigInt(this.#journal?.stats().appendedEvents ?? 0);
    const alive = {
      kind: "alive",
      cookie: events,
      inum: this.#context.findings.activeCount,
    } as const;
    channel.ask(alive).catch((error) => this.#warn.tell(error, "tell that it lives"));
    this.#cgroupNames?.read();
    // Also while no event comes, so that a step is noticed.
    this.#context.clock.readOffsetNs();
    this.#state.ask().then(
      ({ probes }) => {
        for (const probe of probes) this.#losses?.look(probe);
      },
      (error) => this.#warn.tell(error, "look at the probes"),
    );
  }

  /** What is read is counted first: more than the kernel says to have emitted it never is. */
  async #states(): Promise<ProbeState[]> {
    const read = this.#parts.probes.map((_, index) => this.#counts(index));
    const { probes } = await this.#state.ask();
    return this.#parts.probes.flatMap(({ probe }, index) => {
      const answer = probes[index];
      const counts = read[index];
      if (answer === undefined || counts === undefined) return [];
      const { size = 0, fill = 0 } = this.#drains[index]?.ringBytes ?? {};
      return {
        probe: probe.name,
        backends: probe.backends.map(({ name }) => ({ name, attached: name === answer.backend })),
        blindCause: answer.blindness?.cause,
        conservation: { ...answer.counters, ...counts },
        ringBytes: size,
        ringFillBytes: fill,
      };
    });
  }

  #probeStatus({ probe, conservation }: ProbeState, index: number): ProbeStatus {
    const { rateLimited, rateLimitedOrdinary, ...counts } = conservation;
    const { backend, rejected } = this.#state.latest?.probes[index] ?? {
      backend: undefined,
      rejected: [],
    };
    return {
      probe,
      backend: backend ?? null,
      passed_over: [...rejected],
      ...counts,
      rate_limited: rateLimited,
      rate_limited_ordinary: rateLimitedOrdinary,
    };
  }
}
