import { closeSync, openSync } from "node:fs";
import { release } from "node:os";
import { libbpfVersion } from "libbpf-ts";
import { findCgroup2Mount } from "./config/cgroup.ts";
import type { DaemonContext, KernelStage } from "./daemon.ts";
import {
  type AttachedProbe,
  attachProbe,
  backendsFor,
  closeProbe,
  type DetachedProbe,
  detachProbe,
  isAttached,
} from "./kernel/attach.ts";
import { type KernelCounters, NO_EVENTS, readCounters } from "./kernel/counters.ts";
import { ProbeDrain } from "./kernel/drain.ts";
import { gapBatch } from "./pipeline/batch.ts";
import { Intake } from "./pipeline/intake.ts";
import type { Journal } from "./pipeline/journal.ts";
import { registerKernelMetrics } from "./pipeline/kernel-metrics.ts";
import { type ProbeState, registerProbeMetrics } from "./pipeline/probe-metrics.ts";
import { PROBES } from "./probes/index.ts";
import type { Probe, Upkeep } from "./probes/probe.ts";
import type { Readiness } from "./serve/server.ts";

/** How often losses in the kernel are looked for, to tell readers of them in band. */
const LOSS_CHECK_MS = 1000;

const NS_PER_SECOND = 1e9;

const CAPABILITIES = "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN";

/** The daemon cannot do its work, for a reason that its user can mend. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/** An attached probe with what the daemon keeps for it. */
interface Running {
  readonly attached: AttachedProbe;
  readonly drain: ProbeDrain;
  readonly upkeep: Upkeep | undefined;
  /** Losses that readers have been told of. */
  toldLost: number;
}

/** The probes, from attaching to detaching; everything they see goes into the journal. */
export class Watch implements KernelStage {
  readonly #context: DaemonContext;
  readonly #probes: readonly Probe[];
  readonly #running: Running[] = [];
  readonly #detached: DetachedProbe[] = [];
  #journal: Journal | undefined;
  #intake: Intake | undefined;
  #lossCheck: NodeJS.Timeout | undefined;

  constructor(context: DaemonContext) {
    this.#context = context;
    const wanted: readonly string[] = context.config.probes;
    this.#probes = PROBES.filter(({ name }) => wanted.includes(name));
  }

  async start(journal: Journal): Promise<void> {
    const { registry, logger } = this.#context;
    logger.debug({ libbpf: libbpfVersion() }, "library");
    this.#journal = journal;
    const mount = findCgroup2Mount();
    this.#intake = new Intake(journal, registry, this.#probes, mount);
    registerKernelMetrics(registry, (error) => logger.warn({ err: error }, "kernel counters"));
    registerProbeMetrics(registry, () => this.#states());
    this.#attachAll(mount);
    if (!this.ready().ok) this.#refuseOrWarn();
    this.#lossCheck = setInterval(() => this.#tellLosses(), LOSS_CHECK_MS);
  }

  status(): unknown {
    const states = this.#states();
    return {
      release: release(),
      libbpf: libbpfVersion(),
      probes: [
        ...this.#running.map(({ attached }) => probeStatus(attached, attached.backend.name)),
        ...this.#detached.map((detached) => probeStatus(detached, null)),
      ].map((status) => ({
        ...status,
        ...states.find(({ probe }) => probe === status.probe)?.conservation,
      })),
    };
  }

  /** Blind only when nothing at all is attached that was asked for. */
  ready(): Readiness {
    if (this.#running.length > 0 || this.#context.config.backend === "counters")
      return { ok: true };
    return { ok: false, reason: "no probe is attached; see /status" };
  }

  /** Detaches, then reads what is left in the rings, so that nothing seen is lost. */
  async stop(): Promise<void> {
    clearInterval(this.#lossCheck);
    for (const { attached, upkeep } of this.#running) {
      upkeep?.stop();
      detachProbe(attached);
    }
    for (const { drain } of this.#running) {
      drain.stop();
      await drain.drain();
    }
    this.#tellLosses();
    for (const { attached } of this.#running.splice(0)) closeProbe(attached);
  }

  #attachAll(mount: string | undefined): void {
    const { config, logger } = this.#context;
    const directory = config.cgroup === "auto" ? mount : config.cgroup;
    const cgroupFd = directory === undefined ? undefined : openSync(directory, "r");
    const rate = config.maxEventsPerSecond;
    const interval = rate === 0 ? 0 : Math.ceil(NS_PER_SECOND / rate);
    try {
      for (const probe of this.#probes) {
        const found = attachProbe(probe, backendsFor(probe, config.backend), {
          cgroupFd,
          ringBytes: config.ringBytes,
          globals: { config_event_interval_ns: interval, ...probe.globals?.(config) },
        });
        const { passedOver } = found;
        if (isAttached(found)) {
          this.#run(found);
          logger.info({ probe: probe.name, backend: found.backend.name, passedOver }, "attached");
        } else {
          this.#detached.push(found);
          logger.warn({ probe: probe.name, passedOver }, "not attached: no backend works here");
        }
      }
    } finally {
      if (cgroupFd !== undefined) closeSync(cgroupFd);
    }
  }

  /** A missing right or library is for the user to mend; a poor kernel is not. */
  #refuseOrWarn(): void {
    const reasons = this.#detached.flatMap(({ passedOver }) => passedOver.map((p) => p.reason));
    if (process.geteuid?.() !== 0) {
      throw new StartError(
        `root, or ${CAPABILITIES}, is needed to load BPF programs: ${reasons[0]}`,
      );
    }
    this.#context.logger.warn("no probe is attached: only the kernel's own counters are served");
  }

  #run(attached: AttachedProbe): void {
    const { logger } = this.#context;
    const { probe, object } = attached;
    const logFailed = (what: string) => (error: unknown) =>
      logger.error({ err: error, probe: probe.name }, what);
    const drain = new ProbeDrain(
      attached,
      (records) => this.#intake?.take(records),
      logFailed("read ring"),
    );
    const upkeep = probe.upkeep?.(object, logFailed("upkeep"));
    this.#running.push({ attached, drain, upkeep, toldLost: 0 });
  }

  #tellLosses(): void {
    for (const running of this.#running) {
      const { lost } = readCounters(running.attached.object.map("counters"));
      if (lost === running.toldLost) continue;
      const missed = lost - running.toldLost;
      running.toldLost = lost;
      this.#journal?.append(gapBatch(running.attached.probe.name, missed));
    }
  }

  #states(): ProbeState[] {
    return this.#probes.map((probe) => this.#state(probe));
  }

  #state(probe: Probe): ProbeState {
    const running = this.#running.find(({ attached }) => attached.probe === probe);
    const attached = running?.attached;
    const kernel: KernelCounters =
      attached === undefined ? NO_EVENTS : readCounters(attached.object.map("counters"));
    return {
      probe: probe.name,
      backends: probe.backends.map(({ name }) => ({
        name,
        attached: name === attached?.backend.name,
      })),
      conservation: {
        ...kernel,
        read: running?.drain.read ?? 0,
        delivered: this.#intake?.delivered(probe.name) ?? 0,
        malformed: running?.drain.malformed ?? 0,
      },
      ringBytes: attached?.ring.size ?? 0,
      ringFillBytes: attached?.ring.fill() ?? 0,
    };
  }
}

function probeStatus({ probe, passedOver }: DetachedProbe, backend: string | null) {
  return { probe: probe.name, backend, passed_over: passedOver };
}
