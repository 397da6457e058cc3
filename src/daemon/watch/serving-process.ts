import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import type { Logger } from "pino";
import {
  CHANNEL_FD,
  type Hello,
  LOG_FD,
  type News,
  WAITING_CHANNEL_FD,
  type WaitingNews,
} from "../../channel/answers.ts";
import type { Question } from "../../channel/questions.ts";
import type { User } from "../own-user.ts";
import { QuestionSocket } from "./question-socket.ts";

const MAIN = fileURLToPath(new URL("../serve/main.js", import.meta.url));

/** Of Node 24 and others: no debugger opens on SIGUSR1, from the first instruction on. */
const NO_DEBUGGER = "--disable-sigusr1";

/**
 * V8 lets the space for young objects grow to 16 MiB twice over, for which a flood took 90 MiB: what
 * an event leaves dies within one.
 */
const MEMORY_FLAGS = ["--max-semi-space-size=1"];
/** Else glibc keeps freed memory for each thread apart, some megabytes. */
const MEMORY_ENVIRONMENT = { MALLOC_ARENA_MAX: "1" };

/** What it may know of our environment: how to write times and colours, and where its log goes. */
const ENVIRONMENT = ["TZ", "NO_COLOR", "JOURNAL_STREAM", "LIBBPF_SO", "LD_LIBRARY_PATH"];

/** As it is listed among processes. */
const NAME = "tuplewatch-serve";

const TICK_MS = 1000;
/** Ticks without a sign of life, of which one comes with each; before the first it is starting. */
const MAX_SILENT_TICKS = 30;
const MAX_STARTING_TICKS = 300;

const FIRST_DELAY_MS = 50;
const MAX_DELAY_MS = 5000;
/** Who lived that long begins anew with the delays. */
const WELL_MS = 10_000;
/** Without one sign of life in between. */
const MAX_FAILED_STARTS = 3;
const STOP_LIMIT_MS = 4000;

export interface ServingOptions {
  readonly logger: Logger;
  readonly logFd: number;
  /** Undefined: it can only be the same as ours. */
  readonly startUser: () => User | undefined;
  /** For each start anew. Its descriptors are numbers of this process. */
  readonly hello: () => Hello;
  readonly answer: (question: Question) => Promise<unknown>;
  /** The asker waits. */
  readonly answerNow: (question: Question) => unknown;
  /** News may be told to it. */
  readonly onStarted: () => void;
  /** It cannot be started. */
  readonly onGiveUp: (reason: string) => void;
}

interface Running {
  readonly child: ChildProcess;
  readonly channel: QuestionSocket;
  readonly waitingChannel: QuestionSocket;
  readonly startedAtMs: number;
  readonly ended: Promise<void>;
  hasLived: boolean;
  silentTicks: number;
}

/** Those of `hello` follow. */
const FIRST_GIVEN_FD = LOG_FD + 1;

/** Keeps the process that serves alive: it has no rights, and all that comes from outside goes there. */
export class ServingProcess {
  readonly #options: ServingOptions;
  readonly #tick: NodeJS.Timeout;
  #running: Running | undefined;
  #restarts = 0;
  #failedStarts = 0;
  #delayMs = FIRST_DELAY_MS;
  #isStopping = false;

  constructor(options: ServingOptions) {
    this.#options = options;
    this.#start();
    this.#tick = setInterval(() => this.#look(), TICK_MS);
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** It has given a sign of life lately, or is being started. */
  get isWell(): boolean {
    const { hasLived = false, silentTicks = 0 } = this.#running ?? {};
    return !hasLived || silentTicks < MAX_SILENT_TICKS;
  }

  noteAlive(): void {
    if (this.#running === undefined) return;
    this.#running.hasLived = true;
    this.#running.silentTicks = 0;
    this.#failedStarts = 0;
  }

  tell(news: News): void {
    this.#running?.channel.tell(news);
  }

  /** What follows takes long, and nothing is answered meanwhile; or it is over. */
  tellBusy(isBusy: boolean): void {
    const news: WaitingNews = { isBusy };
    this.#running?.waitingChannel.tell(news);
    if (isBusy) this.tell({ news: "busy" });
  }

  /** Lets it end its streams; after some seconds it is ended. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#tick);
    const running = this.#running;
    if (running === undefined) return;
    this.tell({ news: "stop" });
    const force = setTimeout(() => running.child.kill("SIGKILL"), STOP_LIMIT_MS);
    await running.ended;
    clearTimeout(force);
  }

  /** At once. */
  kill(): void {
    this.#isStopping = true;
    this.#running?.child.kill("SIGKILL");
  }

  #start(): void {
    const given = giveDescriptors(this.#options.hello());
    const { logFd, startUser } = this.#options;
    const stdio: StdioOptions = [
      "ignore",
      "ignore",
      "inherit",
      "pipe",
      "pipe",
      logFd,
      ...given.fds,
    ];
    const child = spawn(process.execPath, [...MEMORY_FLAGS, MAIN], {
      ...startUser(),
      argv0: NAME,
      stdio,
      env: environment(),
      cwd: "/",
    });
    const { answer, answerNow } = this.#options;
    const onBroken = (reason: string) => this.#end(child, reason);
    const channel = new QuestionSocket(socketOf(child, CHANNEL_FD), { answer, onBroken });
    const waitingChannel = new QuestionSocket(socketOf(child, WAITING_CHANNEL_FD), {
      answer: answerNow,
      onBroken,
    });
    const ended = new Promise<void>((resolve) => {
      const object = { pid: child.pid };
      child.on("error", (error) =>
        this.#options.logger.error({ err: error, ...object }, "start or end the serving process"),
      );
      child.once("close", (code, signal) => {
        resolve();
        this.#onEnd(child, signal ?? `exit code ${code}`);
      });
    });
    const startedAtMs = performance.now();
    const state = { startedAtMs, hasLived: false, silentTicks: 0 };
    this.#running = { child, channel, waitingChannel, ended, ...state };
    this.tell({ news: "hello", hello: given.hello });
    this.#options.onStarted();
  }

  #look(): void {
    const running = this.#running;
    if (running === undefined) return;
    running.silentTicks++;
    const limit = running.hasLived ? MAX_SILENT_TICKS : MAX_STARTING_TICKS;
    if (running.silentTicks > limit) this.#end(running.child, "it gives no sign of life");
  }

  #end(child: ChildProcess, reason: string): void {
    this.#options.logger.error({ pid: child.pid, reason }, "the serving process is ended");
    child.kill("SIGKILL");
  }

  #onEnd(child: ChildProcess, how: string): void {
    const running = this.#running;
    if (running?.child !== child) return;
    this.#running = undefined;
    if (this.#isStopping) return;
    const { logger, onGiveUp } = this.#options;
    logger.error({ pid: child.pid, how }, "the serving process has ended; it is started again");
    if (!running.hasLived && ++this.#failedStarts >= MAX_FAILED_STARTS) {
      onGiveUp(`the serving process ended ${MAX_FAILED_STARTS} times before it served`);
      return;
    }
    if (performance.now() - running.startedAtMs >= WELL_MS) this.#delayMs = FIRST_DELAY_MS;
    setTimeout(() => this.#startAgain(), this.#delayMs);
    this.#delayMs = Math.min(2 * this.#delayMs, MAX_DELAY_MS);
  }

  #startAgain(): void {
    if (this.#isStopping) return;
    this.#restarts++;
    try {
      this.#start();
    } catch (error) {
      this.#options.onGiveUp(String(error));
    }
  }
}

/** Node's types know five streams; a process has as many as it was started with. */
function socketOf(child: ChildProcess, fd: number): Socket {
  return (child.stdio as readonly unknown[])[fd] as Socket;
}

/** Descriptors as the serving process will have them, in the order in which they are handed over. */
function giveDescriptors(hello: Hello): { hello: Hello; fds: number[] } {
  const fds: number[] = [];
  const give = (fd: number) => FIRST_GIVEN_FD + fds.push(fd) - 1;
  const ring = <T extends { fd: number }>(one: T): T => ({ ...one, fd: give(one.fd) });
  return {
    fds,
    hello: {
      ...hello,
      listeners: hello.listeners.map(ring),
      probes: hello.probes.map((probe) => ({ ...probe, ring: probe.ring && ring(probe.ring) })),
      cgroupPaths: hello.cgroupPaths && ring(hello.cgroupPaths),
      lifeFd: give(hello.lifeFd),
    },
  };
}

function environment(): NodeJS.ProcessEnv {
  const passed = ENVIRONMENT.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value]];
  });
  const { NODE_OPTIONS: given } = process.env;
  const isKnown = process.allowedNodeEnvironmentFlags.has(NO_DEBUGGER);
  const options = [...(given === undefined ? [] : [given]), ...(isKnown ? [NO_DEBUGGER] : [])];
  return { ...MEMORY_ENVIRONMENT, ...Object.fromEntries(passed), NODE_OPTIONS: options.join(" ") };
}
