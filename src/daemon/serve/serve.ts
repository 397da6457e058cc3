import { dieWithParent, RingBuffer } from "libbpf-ts";
import {
  CHANNEL_FD,
  type GivenRing,
  type Hello,
  LOG_FD,
  type News,
  type Settings,
  type StateAnswer,
  WAITING_CHANNEL_FD,
} from "../../channel/answers.ts";
import { GivenAccess } from "../../http/access/rules.ts";
import { PROBES } from "../../probes/probes.ts";
import { MS_PER_SECOND } from "../../util/units.ts";
import { type Daemon, type DaemonContext, startDaemon } from "../daemon.ts";
import { createLog, type Log } from "../log/logger.ts";
import { Channel } from "./channel.ts";
import { Life } from "./life.ts";
import { remoteLocate, remotePorts, remoteReport } from "./remote-kernel.ts";
import { type ReadProbe, RemoteWatch } from "./remote-watch.ts";
import { giveUpRights } from "./rights.ts";
import { WaitingChannel } from "./waiting-channel.ts";

const FAILURE = 1;

/** Serves until it is told to stop, or the privileged process has ended. */
export async function serve(): Promise<void> {
  dieWithParent();
  const waiting: News[] = [];
  let take = (news: News): void => {
    waiting.push(news);
  };
  const [channel, hello] = await new Promise<[Channel, Hello]>((resolve) => {
    const opened: Channel = new Channel(CHANNEL_FD, {
      onNews: (news) => {
        if (news.news === "hello") resolve([opened, news.hello]);
        else take(news);
      },
      onEnd: () => process.exit(FAILURE),
    });
  });
  const log = await createLog(hello.config, LOG_FD);
  exitOnUncaught(log);
  const serving = new Serving(hello, channel, log);
  take = (news) => serving.take(news);
  for (const news of waiting) serving.take(news);
  await serving.start();
}

/** What the privileged process gave, put together. */
class Serving {
  readonly #hello: Hello;
  readonly #channel: Channel;
  readonly #log: Log;
  readonly #waitingChannel = new WaitingChannel(WAITING_CHANNEL_FD);
  readonly #access: GivenAccess;
  /** The latest that was told. */
  #state: StateAnswer | undefined;
  #watch: RemoteWatch | undefined;
  #daemon: Promise<Daemon> | undefined;

  constructor(hello: Hello, channel: Channel, log: Log) {
    this.#hello = hello;
    this.#channel = channel;
    this.#log = log;
    this.#access = new GivenAccess(hello.config, hello.access);
  }

  async start(): Promise<void> {
    const { config, listeners, started, lifeFd, probes: given, cgroupPaths } = this.#hello;
    const probes = given.flatMap(({ probe: name, ring }): ReadProbe[] => {
      const probe = PROBES.find((one) => one.name === name);
      return probe === undefined ? [] : [{ probe, ring: ring && mapRing(ring, name) }];
    });
    const life = new Life(lifeFd, probes.length);
    const legacy = life.legacy(probes.map(({ ring }) => ring?.released ?? 0n));
    const parts = {
      channel: this.#channel,
      waitingChannel: this.#waitingChannel,
      probes,
      cgroupPaths: cgroupPaths && mapRing(cgroupPaths, "cgroup_paths"),
      life,
      legacy,
      droppedLogLines: () => this.#log.droppedLines(),
    };
    const createWatch = (context: DaemonContext) => {
      this.#watch = new RemoteWatch(context, parts);
      if (this.#state !== undefined) this.#watch.takeState(this.#state);
      return this.#watch;
    };
    const nameCgroup = (id: number) => this.#watch?.cgroupName(id);
    const options = {
      listeners: listeners.map((listener) => ({ ...listener, removeFile: () => {} })),
      sources: {
        locateNetns: remoteLocate(this.#waitingChannel),
        queryPorts: remotePorts(this.#channel, nameCgroup),
        portReport: remoteReport(this.#channel, nameCgroup),
      },
      firstSeq: Math.max(1, legacy.nextSeq),
      onAppend: () => this.#watch?.noteAppend(),
      wantOrdinary: async (wanted: boolean) => {
        await this.#channel.ask({ kind: "ordinary", inum: wanted ? 1 : 0 });
      },
      started,
      beforeServing: () => giveUpRights(this.#hello.user),
    };
    this.#daemon = startDaemon(config, this.#log, this.#access, options, createWatch);
    await this.#daemon;
  }

  take(news: News): void {
    switch (news.news) {
      case "hello":
        return;
      case "busy":
        this.#watch?.pause();
        return;
      case "state":
        this.#state = news.state;
        this.#watch?.takeState(news.state);
        return;
      case "access":
        this.#access.replace(news.access);
        return;
      case "settings":
        this.#adjust(news.settings);
        return;
      case "stop":
        this.#stop();
        return;
    }
  }

  async #adjust(settings: Settings): Promise<void> {
    this.#log.logger.level = settings.logLevel;
    const daemon = await this.#daemon;
    daemon?.findings.setQuietMs(settings.findingQuietSeconds * MS_PER_SECOND);
    const { journalEvents: maxEvents, journalBytes: maxBytes } = settings;
    daemon?.journal.limit({ maxEvents, maxBytes });
  }

  /** Also while it is starting: then nobody is served yet. */
  async #stop(): Promise<void> {
    const isStarted = this.#watch?.isStarted === true;
    if (isStarted) await (await this.#daemon)?.stop();
    process.exit(0);
  }
}

function mapRing({ fd, sizeBytes }: GivenRing, name: string): RingBuffer {
  return RingBuffer.fromFd(fd, name, sizeBytes);
}

/** It is started again: that is better than to limp. */
function exitOnUncaught({ logger }: Log): void {
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, (error: unknown) => {
      logger.fatal({ err: error }, event);
      process.exit(FAILURE);
    });
  }
}
