import type { CensusAnswer, CensusQuestion } from "./detector.ts";
import { type ConnectObserved, type NetnsName, timeMs } from "./observed.ts";

const MAX_BINDERS = 32;
const MAX_PIDS = 64;
const MAX_FIRST_SEQS = 4;

/** A port stays in TIME_WAIT for as long (TCP_TIMEWAIT_LEN, include/net/tcp.h). */
const RECENT_MS = 60_000;

/** Fewer ports fill no range that one would set. */
const MIN_PORTS = 16;

/** A census costs: it is asked for when there is this much more, or after this long. */
const GROWTH = 1.25;
const CHANGE = 0.05;
const SOON_MS = 250;
const LATE_MS = 10_000;
/** Nothing new for this long: what was seen is all there is for now. */
const SETTLED_MS = 200;

const FAIRLY_FULL = 0.5;

/** Processes of one program that bind before they connect. */
export interface Binder {
  readonly identity: string;
  readonly pids: Set<number>;
  /** Last use of each local port, ms. */
  readonly ports: Map<number, number>;
  readonly firstSeqs: number[];
  last: ConnectObserved;
}

export interface Share {
  readonly binder: Binder;
  /** Ports in use that are its own. */
  readonly ports: number;
}

/** The sockets of one network namespace that were bound before they were connected. */
export class BindersOfNetns {
  readonly #key: string;
  readonly #netns: NetnsName;
  readonly #binders = new Map<string, Binder>();
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #askedPorts = 0;
  #grewAtMs = Number.NEGATIVE_INFINITY;
  /** Something was noted since it was last asked. */
  #unasked = false;
  #recentPorts = 0;
  /** Of the range, when last counted. */
  fill = 0;

  constructor(key: string, netns: NetnsName) {
    this.#key = key;
    this.#netns = netns;
  }

  /** A connect from a port that bind() chose. A question if it is time to count. */
  note(event: ConnectObserved, port: number): CensusQuestion | undefined {
    const nowMs = timeMs(event);
    const binder = this.#binder(event);
    if (binder === undefined) return undefined;
    if (!binder.ports.has(port)) this.#recentPorts++;
    binder.ports.delete(port);
    binder.ports.set(port, nowMs);
    this.#grewAtMs = nowMs;
    this.#unasked = true;
    const grown = this.#recentPorts >= GROWTH * this.#askedPorts;
    return grown && nowMs - this.#askedAtMs >= SOON_MS ? this.#ask(nowMs) : undefined;
  }

  /** Some connect found no port. */
  failed(nowMs: number): CensusQuestion | undefined {
    return nowMs - this.#askedAtMs >= LATE_MS ? this.#ask(nowMs) : undefined;
  }

  /** Called a few times a second. */
  due(nowMs: number): CensusQuestion | undefined {
    this.#forget(nowMs - RECENT_MS);
    const late = nowMs - this.#askedAtMs >= LATE_MS;
    const differs = Math.abs(this.#recentPorts - this.#askedPorts) >= CHANGE * this.#askedPorts;
    const settled = this.#unasked && nowMs - this.#grewAtMs >= SETTLED_MS;
    const wanted = (settled && (late || differs)) || (late && this.fill >= FAIRLY_FULL);
    return wanted ? this.#ask(nowMs) : undefined;
  }

  /** How many of the ports in use are whose. */
  shares({ holders }: CensusAnswer): Share[] {
    let ownerless = holders
      .filter(({ without }) => without === "time_wait")
      .reduce((sum, { ports }) => sum + ports, 0);
    return [...this.#binders.values()].map((binder) => {
      const held = holders
        .filter(({ process }) => binder.pids.has(process?.pid ?? 0))
        .reduce((sum, { ports }) => sum + ports, 0);
      const left = Math.min(ownerless, Math.max(0, binder.ports.size - held));
      ownerless -= left;
      return { binder, ports: held + left };
    });
  }

  #ask(nowMs: number): CensusQuestion | undefined {
    if (this.#recentPorts < MIN_PORTS) return undefined;
    this.#askedAtMs = nowMs;
    this.#unasked = false;
    this.#askedPorts = this.#recentPorts;
    const pids = [...this.#binders.values()].flatMap((binder) => [...binder.pids]);
    return {
      key: this.#key,
      netns: this.#netns,
      pid: pids.at(-1),
      protocol: "tcp",
      holdersFrom: FAIRLY_FULL,
    };
  }

  #binder(event: ConnectObserved): Binder | undefined {
    const { pid = 0, comm, uid } = event.process ?? {};
    const group = (event.cgroup as { id?: string } | undefined)?.id ?? "";
    const identity = `${comm} ${uid} ${group}`;
    const known = this.#binders.get(identity);
    if (known === undefined && this.#binders.size >= MAX_BINDERS) return undefined;
    const binder = known ?? {
      identity,
      pids: new Set<number>(),
      ports: new Map<number, number>(),
      firstSeqs: [],
      last: event,
    };
    this.#binders.set(identity, binder);
    if (binder.pids.size < MAX_PIDS) binder.pids.add(pid);
    if (binder.firstSeqs.length < MAX_FIRST_SEQS) binder.firstSeqs.push(event.seq);
    binder.last = event;
    return binder;
  }

  /** Ports that were last used before `thenMs`, and programs that have none left. */
  #forget(thenMs: number): void {
    for (const [identity, binder] of this.#binders) {
      for (const [port, usedMs] of binder.ports) {
        if (usedMs >= thenMs) break;
        binder.ports.delete(port);
        this.#recentPorts--;
      }
      if (binder.ports.size === 0 && this.fill < FAIRLY_FULL) this.#binders.delete(identity);
    }
  }
}
