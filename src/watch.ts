import { closeSync, constants, openSync } from "node:fs";
import { release } from "node:os";
import { enableRunStats, libbpfVersion, returnFreedMemory } from "libbpf-ts";
import { findCgroup2Mount } from "./config/cgroup.ts";
import type { DaemonContext, KernelStage } from "./daemon.ts";
import { Cgroups } from "./enrich/cgroups.ts";
import { reasonOf } from "./errno.ts";
import { type AttachedProbe, backendsFor } from "./kernel/attach.ts";
import { CensusTaker } from "./kernel/census.ts";
import { CgroupNames } from "./kernel/cgroup-names.ts";
import { ProbeRun } from "./kernel/probe-run.ts";
import { gapBatch } from "./pipeline/batch.ts";
import { Intake } from "./pipeline/intake.ts";
import type { Journal } from "./pipeline/journal.ts";
import { registerKernelMetrics } from "./pipeline/kernel-metrics.ts";
import { registerNamespaceMetrics } from "./pipeline/namespace-metrics.ts";
import { namespaceStatus } from "./pipeline/namespace-status.ts";
import { type ProbeState, registerProbeMetrics } from "./pipeline/probe-metrics.ts";
import { registerMissedRuns, registerProgramStats } from "./pipeline/program-metrics.ts";
import { PROBES } from "./probes/index.ts";
import type { Probe } from "./probes/probe.ts";
import type { KernelStatus, ProbeStatus, Readiness } from "./serve/status.schema.ts";

/** How often losses in the kernel are looked for, to tell readers of them, and new modules. */
const CHECK_MS = 1000;

const NS_PER_SECOND = 1e9;

/** Different ones of failures that come again and again. */
const MAX_WARNED = 100;

const CAPABILITIES = "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN";

/** The daemon cannot do its work, for a reason that its user can mend. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/** The probes, from attaching to detaching; everything they see goes into the journal. */
export class Watch implements KernelStage {
  readonly #context: DaemonContext;
  readonly #probes: readonly Probe[];
  readonly #runs: ProbeRun[] = [];
  readonly #census: CensusTaker;
  /** Losses that readers have been told of, by probe. */
  readonly #toldLost = new Map<string, number>();
  #cgroupFd: number | undefined;
  #journal: Journal | undefined;
  #intake: Intake | undefined;
  #check: NodeJS.Timeout | undefined;
  #cgroupNames: CgroupNames | undefined;
  #programStats: { close(): void } | undefined;
  readonly #warned = new Set<string>();

  constructor(context: DaemonContext) {
    this.#context = context;
    this.#census = new CensusTaker({
      onError: (error) => this.#warnOnce(error, "count ports and conntrack entries"),
    });
    const wanted: readonly string[] = context.config.probes;
    this.#probes = PROBES.filter(({ name }) => wanted.includes(name));
  }

  async start(journal: Journal): Promise<void> {
    const { registry, logger, findings } = this.#context;
    logger.debug({ libbpf: libbpfVersion() }, "library");
    this.#journal = journal;
    const mount = findCgroup2Mount();
    this.#cgroupNames = this.#noteCgroups();
    this.#intake = new Intake(journal, registry, this.#probes, {
      cgroups: new Cgroups(mount, (id) => this.#cgroupNames?.path(id)),
      observe: (event) => findings.take(event),
    });
    registerKernelMetrics(registry, (error) => this.#warnOnce(error, "kernel counters"));
    registerNamespaceMetrics(registry, this.#census);
    registerProbeMetrics(registry, () => this.#states());
    registerMissedRuns(registry, () => this.#attached());
    if (this.#context.config.programStats === "on") this.#measurePrograms();
    this.#attachAll(mount);
    if (!this.ready().ok) this.#refuseOrWarn();
    returnFreedMemory();
    this.#check = setInterval(() => {
      this.#tellLosses();
      this.#followModules();
    }, CHECK_MS);
  }

  async status(): Promise<KernelStatus> {
    return {
      release: release(),
      libbpf: libbpfVersion(),
      probes: this.#runs.map((run) => this.#probeStatus(run)),
      ...(await namespaceStatus(this.#census)),
    };
  }

  #probeStatus(run: ProbeRun): ProbeStatus {
    return {
      probe: run.probe.name,
      backend: run.attached?.backend.name ?? null,
      passed_over: run.passedOver,
      ...this.#state(run).conservation,
    };
  }

  /** Blind only when nothing at all is attached that was asked for. */
  ready(): Readiness {
    const attached = this.#runs.some((run) => run.attached !== undefined);
    if (attached || this.#context.config.backend === "counters") return { ok: true };
    return { ok: false, reason: "no probe is attached; see /status" };
  }

  summary(): string {
    const attached = this.#runs.filter((run) => run.attached !== undefined).length;
    return `${attached} of ${this.#runs.length} probes attached`;
  }

  /** Detaches, then reads what is left in the rings, so that nothing seen is lost. */
  async stop(): Promise<void> {
    clearInterval(this.#check);
    await this.#census.stop();
    for (const run of this.#runs) run.detach();
    for (const run of this.#runs) await run.finish();
    this.#tellLosses();
    this.#programStats?.close();
    this.#cgroupNames?.close();
    this.#cgroupNames = undefined;
    for (const run of this.#runs.splice(0)) run.close();
    if (this.#cgroupFd !== undefined) closeSync(this.#cgroupFd);
    this.#cgroupFd = undefined;
  }

  /** Without it, containers that are gone before their first event is read stay nameless. */
  #noteCgroups(): CgroupNames | undefined {
    const { config, logger } = this.#context;
    if (config.backend === "counters") return undefined;
    try {
      return CgroupNames.attach(config.bpfDir === "auto" ? undefined : config.bpfDir);
    } catch (error) {
      logger.warn({ reason: reasonOf(error) }, "new cgroups are not noted");
      return undefined;
    }
  }

  #attachAll(mount: string | undefined): void {
    const { config } = this.#context;
    const directory = config.cgroup === "auto" ? mount : config.cgroup;
    this.#cgroupFd = directory === undefined ? undefined : openDirectory(directory);
    for (const probe of this.#probes) {
      const run = this.#attach(probe);
      this.#runs.push(run);
      this.#logBackend(run);
    }
  }

  #attach(probe: Probe): ProbeRun {
    const { config, logger } = this.#context;
    const rate = config.maxEventsPerSecond;
    const interval = rate === 0 ? 0 : Math.ceil(NS_PER_SECOND / rate);
    return new ProbeRun(probe, {
      backends: backendsFor(probe, config.backend),
      settings: {
        cgroupFd: this.#cgroupFd,
        ringBytes: config.ringBytes,
        bpfDir: config.bpfDir === "auto" ? undefined : config.bpfDir,
        globals: { config_event_interval_ns: interval, ...probe.globals?.(config) },
      },
      sink: (records) => this.#intake?.take(records),
      onError: (error) => logger.error({ err: error, probe: probe.name }, "watch probe"),
    });
  }

  #logBackend({ probe, attached, passedOver }: ProbeRun): void {
    const { logger } = this.#context;
    if (attached === undefined) {
      logger.warn({ probe: probe.name, passedOver }, "not attached: no backend works here");
    } else {
      logger.info({ probe: probe.name, backend: attached.backend.name, passedOver }, "attached");
    }
  }

  /** Where a right is missing, each census and scrape fails alike. */
  #warnOnce(error: unknown, what: string): void {
    const reason = reasonOf(error);
    if (this.#warned.has(`${what} ${reason}`) || this.#warned.size >= MAX_WARNED) return;
    this.#warned.add(`${what} ${reason}`);
    this.#context.logger.warn({ reason }, what);
  }

  #measurePrograms(): void {
    this.#programStats = enableRunStats();
    registerProgramStats(this.#context.registry, () => this.#attached());
  }

  #attached(): AttachedProbe[] {
    return this.#runs.flatMap(({ attached }) => (attached === undefined ? [] : [attached]));
  }

  /** A missing right or library is for the user to mend; a poor kernel is not. */
  #refuseOrWarn(): void {
    const reasons = this.#runs.flatMap(({ passedOver }) => passedOver.map((p) => p.reason));
    if (process.geteuid?.() !== 0) {
      throw new StartError(
        `root, or ${CAPABILITIES}, is needed to load BPF programs: ${reasons[0]}`,
      );
    }
    this.#context.logger.warn("no probe is attached: only the kernel's own counters are served");
  }

  #followModules(): void {
    for (const run of this.#runs) {
      try {
        if (!run.followModule()) continue;
        this.#logBackend(run);
        returnFreedMemory();
      } catch (error) {
        this.#context.logger.error({ err: error, probe: run.probe.name }, "change backend");
      }
    }
  }

  #tellLosses(): void {
    for (const run of this.#runs) {
      const { name } = run.probe;
      const { lost } = run.totals();
      const missed = lost - (this.#toldLost.get(name) ?? 0);
      if (missed === 0) continue;
      this.#toldLost.set(name, lost);
      this.#journal?.append(gapBatch(name, missed));
    }
  }

  #states(): ProbeState[] {
    return this.#runs.map((run) => this.#state(run));
  }

  #state(run: ProbeRun): ProbeState {
    const { probe, attached } = run;
    return {
      probe: probe.name,
      backends: probe.backends.map(({ name }) => ({
        name,
        attached: name === attached?.backend.name,
      })),
      conservation: { ...run.totals(), delivered: this.#intake?.delivered(probe.name) ?? 0 },
      ringBytes: attached?.ring.size ?? 0,
      ringFillBytes: attached?.ring.fill() ?? 0,
    };
  }
}

function openDirectory(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    throw new StartError(`open cgroup ${path}: ${reasonOf(error)}`);
  }
}
