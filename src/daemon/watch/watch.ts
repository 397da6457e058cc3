import { closeSync, constants, openSync } from "node:fs";
import { type BpfMap, enableRunStats, libbpfVersion, returnFreedMemory } from "libbpf-ts";
import type { Logger } from "pino";
import { type AttachedProbe, backendsFor } from "../../attach/attach.ts";
import { ProbeRun } from "../../attach/probe-run.ts";
import { SharedMaps } from "../../attach/shared-maps.ts";
import type { GivenProbe, GivenRing, ProbeAnswer } from "../../channel/answers.ts";
import type { DaemonConfig } from "../../config/options.ts";
import type { ProgramRuns } from "../../intake/program-metrics.ts";
import { findCgroup2Mount } from "../../kernel/cgroup2.ts";
import { CgroupWatch } from "../../names/cgroup-names.ts";
import { CONNECT_EVENTS, connect, connectEventsMode } from "../../probes/connect.ts";
import { type ConnectTally, readConnectTallies, TALLIES } from "../../probes/connect_tally.ts";
import { portBind } from "../../probes/port_bind.ts";
import {
  AUTOBINDS,
  PORT_BIND_TALLIES,
  type PortBindTally,
  readPortBindTallies,
} from "../../probes/port_bind_tally.ts";
import type { Probe } from "../../probes/probe.ts";
import { PROBES } from "../../probes/probes.ts";
import { reasonOf } from "../../util/errno.ts";
import { NS_PER_SECOND } from "../../util/units.ts";

/** How often detached probes and new modules are looked for. */
const CHECK_MS = 1000;

const CAPABILITIES = "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN";

/** The daemon cannot do its work, for a reason that its user can mend. */
export class StartError extends Error {
  override readonly name = "StartError";
}

export interface WatchOptions {
  readonly config: DaemonConfig;
  readonly logger: Logger;
  /** A probe is about to change its backend, which may take seconds; and it has. */
  readonly onChanging: () => void;
  readonly onChanged: () => void;
}

/** The probes in the kernel, from their rings to their end. What they see, others read. */
export class Watch {
  readonly #options: WatchOptions;
  readonly #runs: readonly ProbeRun[];
  readonly #shared = new SharedMaps();
  readonly #cgroupWatch: CgroupWatch | undefined;
  readonly #cgroupFd: number | undefined;
  #check: NodeJS.Timeout | undefined;
  #programStats: { close(): void } | undefined;

  /** Makes what is shared with the reader; nothing is attached yet. @throws StartError */
  constructor(options: WatchOptions) {
    this.#options = options;
    const { config, logger } = options;
    logger.debug({ libbpf: libbpfVersion() }, "library");
    const directory = config.cgroup === "auto" ? findCgroup2Mount() : config.cgroup;
    this.#cgroupFd = directory === undefined ? undefined : openDirectory(directory);
    this.#cgroupWatch = this.#watchCgroups();
    const wanted: readonly string[] = config.probes;
    const probes = PROBES.filter(({ name }) => wanted.includes(name));
    this.#runs = probes.map((probe) => this.#prepare(probe));
  }

  /** In the order of `state`. */
  get probes(): GivenProbe[] {
    return this.#runs.map(({ probe, ring }) => ({ probe: probe.name, ring: ring && given(ring) }));
  }

  get cgroupPaths(): GivenRing | undefined {
    return this.#cgroupWatch && given(this.#cgroupWatch.ring);
  }

  /** @throws StartError where nothing can be attached for want of a right. */
  attach(): void {
    if (this.#options.config.programStats === "on") this.#programStats = enableRunStats();
    for (const run of this.#runs) {
      run.attach();
      this.#logBackend(run);
    }
    if (this.#attached().length === 0) this.#refuseOrWarn();
    returnFreedMemory();
    this.#check = setInterval(() => this.#look(), CHECK_MS);
  }

  probeAnswers(): ProbeAnswer[] {
    return this.#runs.map((run) => ({
      probe: run.probe.name,
      backend: run.attached?.backend.name,
      rejected: run.rejected,
      counters: run.totals(),
      blindness: run.blindness,
    }));
  }

  programRuns(): ProgramRuns[] {
    return this.#attached().flatMap(({ probe, object }) =>
      [...object.programs].flatMap(([program, loaded]) => {
        if (!loaded.loaded) return [];
        const { runTimeNs, runCount, recursionMisses } = loaded.runStats();
        return {
          probe: probe.name,
          program,
          runTimeNs: Number(runTimeNs),
          runCount: Number(runCount),
          recursionMisses: Number(recursionMisses),
        };
      }),
    );
  }

  /** All connects that were counted, whether they became events or not. */
  connectTallies(): ConnectTally[] {
    const map = this.#runOf(connect)?.map(TALLIES.name);
    return map === undefined ? [] : readConnectTallies(map);
  }

  /** Maps of who opened local ports. */
  get portLedger(): readonly BpfMap[] {
    return this.#shared.ledger;
  }

  /** All calls for a port that were counted. */
  portBindTallies(): PortBindTally[] {
    const run = this.#runOf(portBind);
    const map = run?.map(PORT_BIND_TALLIES.name);
    return map === undefined ? [] : readPortBindTallies(map, run?.map(AUTOBINDS.name));
  }

  /** Whether connects that went as they should are events; settings may have decided that. */
  wantOrdinary(wanted: boolean): void {
    if (this.#options.config.connectEvents !== "auto") return;
    const mode = connectEventsMode(wanted ? "all" : "notable");
    this.#runOf(connect)?.setVariable(CONNECT_EVENTS, mode);
  }

  /** `3 of 4 probes attached` */
  summary(): string {
    return `${this.#attached().length} of ${this.#runs.length} probes attached`;
  }

  close(): void {
    clearInterval(this.#check);
    for (const run of this.#runs) run.close();
    this.#shared.close();
    this.#programStats?.close();
    this.#cgroupWatch?.close();
    if (this.#cgroupFd !== undefined) closeSync(this.#cgroupFd);
  }

  #runOf(wanted: Probe): ProbeRun | undefined {
    return this.#runs.find(({ probe }) => probe === wanted);
  }

  #look(): void {
    for (const run of this.#runs) run.look();
    this.#followModules();
  }

  /** Without it, containers that are gone before their first event is read stay nameless. */
  #watchCgroups(): CgroupWatch | undefined {
    const { config, logger } = this.#options;
    if (config.backend === "counters") return undefined;
    try {
      return CgroupWatch.attach(config.bpfDir === "auto" ? undefined : config.bpfDir);
    } catch (error) {
      logger.warn({ reason: reasonOf(error) }, "new cgroups are not noted");
      return undefined;
    }
  }

  #prepare(probe: Probe): ProbeRun {
    const { config, logger } = this.#options;
    const rate = config.maxEventsPerSecond;
    const interval = rate === 0 ? 0 : Math.ceil(NS_PER_SECOND / rate);
    return new ProbeRun(probe, {
      backends: backendsFor(probe, config.backend),
      settings: {
        cgroupFd: this.#cgroupFd,
        bpfDir: config.bpfDir === "auto" ? undefined : config.bpfDir,
        shared: this.#shared,
        globals: { config_event_interval_ns: interval, ...probe.globals?.(config) },
      },
      ringBytes: config.ringBytes,
      onError: (error) => logger.error({ err: error, probe: probe.name }, "watch probe"),
    });
  }

  #logBackend({ probe, attached, rejected }: ProbeRun): void {
    const { logger } = this.#options;
    if (attached === undefined) {
      logger.warn({ probe: probe.name, rejected }, "not attached: no backend works here");
    } else {
      logger.info({ probe: probe.name, backend: attached.backend.name, rejected }, "attached");
    }
  }

  #attached(): AttachedProbe[] {
    return this.#runs.flatMap(({ attached }) => (attached === undefined ? [] : [attached]));
  }

  /** A missing right or library is for the user to mend; a poor kernel is not. */
  #refuseOrWarn(): void {
    const { config, logger } = this.#options;
    if (config.backend === "counters") return;
    const reasons = this.#runs.flatMap(({ rejected }) => rejected.map((p) => p.reason));
    if (process.geteuid?.() !== 0) {
      throw new StartError(
        `root, or ${CAPABILITIES}, is needed to load BPF programs: ${reasons[0]}`,
      );
    }
    logger.warn("no probe is attached: only the kernel's own counters are served");
  }

  #followModules(): void {
    const { logger, onChanging, onChanged } = this.#options;
    for (const run of this.#runs) {
      if (!run.modulesChanged()) continue;
      onChanging();
      try {
        if (run.followModule()) this.#logBackend(run);
        returnFreedMemory();
      } catch (error) {
        logger.error({ err: error, probe: run.probe.name }, "change backend");
      } finally {
        onChanged();
      }
    }
  }
}

function given({ fd, maxEntries }: { fd: number; maxEntries: number }): GivenRing {
  return { fd, sizeBytes: maxEntries };
}

function openDirectory(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    throw new StartError(`open cgroup ${path}: ${reasonOf(error)}`);
  }
}
