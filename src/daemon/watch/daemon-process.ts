import {
  clearAmbientCapabilities,
  closeFd,
  forbidNewPrivileges,
  installFilter,
  libbpfVersion,
  memoryFile,
} from "libbpf-ts";
import type { Settings, StateAnswer } from "../../channel/answers.ts";
import type { Question } from "../../channel/questions.ts";
import type { DaemonConfig } from "../../config/options.ts";
import type { AccessSource } from "../../http/access/access-source.ts";
import { type OpenListener, openListeners } from "../../http/listen/open.ts";
import { urlOf } from "../../http/listen/url.ts";
import type { Privileges } from "../../http/openapi/status.schema.ts";
import { WallClock } from "../../kernel/clock.ts";
import { type ConntrackStats, readConntrackStats } from "../../kernel/conntrack-stats.ts";
import { PortLedger } from "../../ports/ledger.ts";
import { PortSampler } from "../../ports/sampler.ts";
import type { Log } from "../log/logger.ts";
import { WarnOnce } from "../log/warn-once.ts";
import {
  chooseUsers,
  dropBoundingSet,
  dropPrivileges,
  startingUser,
  type Users,
} from "../privileges.ts";
import { type Architecture, startingFilter } from "../serve/filter.ts";
import { Answers } from "./answers.ts";
import { ServingProcess } from "./serving-process.ts";
import { Watch } from "./watch.ts";

export interface DaemonParts {
  readonly config: DaemonConfig;
  readonly log: Log;
  readonly access: AccessSource;
  /** The daemon cannot go on. */
  readonly onFailure: (reason: string) => void;
}

/**
 * The privileged process: it keeps the probes in the kernel, looks at what takes rights, and speaks
 * to nobody but the process that serves, which it starts, watches and starts again.
 */
export class DaemonProcess {
  readonly #parts: DaemonParts;
  readonly #watch: Watch;
  readonly #listeners: readonly OpenListener[];
  readonly #sampler: PortSampler;
  readonly #warn: WarnOnce;
  readonly #lifeFd = memoryFile("tuplewatch");
  readonly #users: Users;
  readonly #serving: ServingProcess;
  #isAttached = false;
  #privileges: Privileges | undefined;
  /** Other than those of the start. */
  #settings: Partial<Settings> = {};
  #events = 0;
  #findings = 0;
  #onServing: () => void = () => {};
  /** Resolves when all is attached, read from and served for the first time. */
  readonly served = new Promise<void>((resolve) => {
    this.#onServing = resolve;
  });

  /** Listens first, so that a taken address is found before anything is loaded into the kernel. */
  static async start(parts: DaemonParts): Promise<DaemonProcess> {
    const listeners = await openListeners(parts.config.listen);
    let daemon: DaemonProcess | undefined;
    try {
      daemon = new DaemonProcess(parts, listeners);
      daemon.#attach();
      return daemon;
    } catch (error) {
      if (daemon !== undefined) daemon.#serving.kill();
      for (const { removeFile } of listeners) removeFile();
      throw error;
    }
  }

  private constructor(parts: DaemonParts, listeners: readonly OpenListener[]) {
    const { config, log, access } = parts;
    const { logger } = log;
    this.#parts = parts;
    this.#listeners = listeners;
    this.#warn = new WarnOnce(logger);
    this.#sampler = new PortSampler({
      onError: (error) => this.#warn.tell(error, "count ports and conntrack entries"),
    });
    this.#watch = new Watch({
      config,
      logger,
      onChanging: () => this.#serving.tellBusy(true),
      onChanged: () => {
        this.#serving.tellBusy(false);
        this.#tellState();
      },
    });
    const answers = new Answers({
      state: () => this.#state(),
      kernel: () => ({
        programs: this.#watch.programRuns(),
        connects: this.#watch.connectTallies(),
        portBinds: this.#watch.portBindTallies(),
        conntrack: this.#conntrack(),
      }),
      onOrdinary: (wanted) => this.#watch.wantOrdinary(wanted),
      sampler: this.#sampler,
      ledger: new PortLedger(() => this.#watch.portLedger),
      onAlive: (events, findings) => this.#noteAlive(events, findings),
    });
    const clock = new WallClock();
    const started = { at: new Date().toISOString(), bootMs: clock.nowMs() };
    this.#users = chooseUsers(config.keepCapabilities, config.user);
    limitChildren();
    this.#serving = new ServingProcess({
      logger,
      logFd: log.fd,
      startUser: () => startingUser(this.#users),
      hello: () => ({
        config: { ...config, ...this.#settings },
        access: access.current,
        listeners: listeners.map(({ wanted, address, fd }) => ({ wanted, address, fd })),
        probes: this.#watch.probes,
        cgroupPaths: this.#watch.cgroupPaths,
        lifeFd: this.#lifeFd,
        started,
        user: this.#users.serving,
      }),
      onStarted: () => {
        this.#watch.wantOrdinary(false);
        if (this.#isAttached) this.#tellState();
      },
      answer: (question) => answers.answer(question),
      answerNow: (question: Question) => answers.answerNow(question),
      onGiveUp: (reason) => {
        for (const { removeFile } of listeners) removeFile();
        parts.onFailure(reason);
      },
    });
    access.onChange((changed) => this.#serving.tell({ news: "access", access: changed }));
  }

  #attach(): void {
    this.#watch.attach();
    const kept = dropPrivileges(this.#parts.config.keepCapabilities, this.#users.own);
    this.#privileges = { ...kept, serving_uid: this.#users.serving?.uid ?? kept.uid };
    this.#isAttached = true;
    this.#tellState();
  }

  /** In one line. */
  summary(): string {
    const where = this.#listeners.map((one) => urlOf(one, this.#parts.access.current)).join(", ");
    const count = `${this.#events} events, ${this.#findings} active findings`;
    return `serving on ${where}: ${this.#watch.summary()}; ${count}`;
  }

  get isWell(): boolean {
    return this.#serving.isWell;
  }

  adjust(settings: Settings): void {
    this.#settings = settings;
    this.#serving.tell({ news: "settings", settings });
  }

  /** Ends the streams, then everything else. */
  async stop(): Promise<void> {
    await this.#serving.stop();
    await this.#sampler.stop();
    this.#watch.close();
    this.#parts.access.close();
    for (const { fd, removeFile } of this.#listeners) {
      removeFile();
      closeFd(fd);
    }
  }

  #noteAlive(events: number, findings: number): void {
    this.#serving.noteAlive();
    this.#events = events;
    this.#findings = findings;
    this.#onServing();
  }

  #tellState(): void {
    this.#serving.tell({ news: "state", state: this.#state() });
  }

  #state(): StateAnswer {
    return {
      isAttached: this.#isAttached,
      libbpf: libbpfVersion(),
      probes: this.#watch.probeAnswers(),
      logLinesDropped: this.#parts.log.droppedLines(),
      privileges: this.#privileges,
      restarts: this.#serving.restarts,
    };
  }

  #conntrack(): ConntrackStats | undefined {
    try {
      return readConntrackStats();
    } catch (error) {
      this.#warn.tell(error, "kernel counters");
      return undefined;
    }
  }
}

/** For what this process starts, from its first instruction on. */
function limitChildren(): void {
  clearAmbientCapabilities();
  dropBoundingSet();
  forbidNewPrivileges();
  installFilter(startingFilter(process.arch as Architecture), "calling");
}
