import type { PortQuery, PortQueryResult } from "../ports/query.ts";
import { FairLruMap, largest } from "../util/fair-lru.ts";
import { type ConnectObserved, type NetnsName, timeMs } from "./observed.ts";
import { principalOf } from "./principal.ts";

const MAX_BINDERS = 32;
const MAX_PIDS = 64;
const MAX_FIRST_SEQS = 4;

/** A port stays in TIME_WAIT for as long (TCP_TIMEWAIT_LEN, include/net/tcp.h). */
const RECENT_MS = 60_000;

/** Fewer ports fill no range that one would set. */
const MIN_PORTS = 16;

/** Counting costs: it is asked for when there is this much more, or after this long. */
const GROWTH = 1.25;
const CHANGE = 0.05;
const SCAN_MIN_INTERVAL_MS = 250;
const SCAN_MAX_INTERVAL_MS = 10_000;
/** Nothing new for this long: what was seen is all there is for now. */
const SETTLED_MS = 200;

const HALF_FULL_RATIO = 0.5;

/** Processes of one program that bind before they connect. */
export interface Binder {
  readonly identity: string;
  readonly pids: Set<number>;
  /** Last use of each local port, ms. */
  readonly ports: Map<number, number>;
  readonly firstSeqs: number[];
  last: ConnectObserved;
}

export interface Attribution {
  readonly binder: Binder;
  /** Ports in use that are its own. */
  readonly ports: number;
}

/** The sockets of one network namespace that were bound before they were connected. */
export class BindBeforeConnectTracker {
  readonly #key: string;
  readonly #netns: NetnsName;
  readonly #binders = new FairLruMap<string, Binder>(MAX_BINDERS);
  #queriedAtMs = Number.NEGATIVE_INFINITY;
  #queriedPorts = 0;
  #grewAtMs = Number.NEGATIVE_INFINITY;
  /** Something was noted since the last query. */
  #changed = false;
  #recentPorts = 0;
  /** Of the range, when last counted. */
  usedRatio = 0;

  constructor(key: string, netns: NetnsName) {
    this.#key = key;
    this.#netns = netns;
  }

  /** A connect from a port that bind() chose. A query if it is time to count. */
  note(event: ConnectObserved, port: number): PortQuery | undefined {
    const nowMs = timeMs(event);
    const binder = this.#binder(event);
    if (!binder.ports.has(port)) this.#recentPorts++;
    binder.ports.delete(port);
    binder.ports.set(port, nowMs);
    this.#grewAtMs = nowMs;
    this.#changed = true;
    const grown = this.#recentPorts >= GROWTH * this.#queriedPorts;
    return grown && nowMs - this.#queriedAtMs >= SCAN_MIN_INTERVAL_MS
      ? this.#query(nowMs)
      : undefined;
  }

  /** Some connect found no port. */
  failed(nowMs: number): PortQuery | undefined {
    return nowMs - this.#queriedAtMs >= SCAN_MAX_INTERVAL_MS ? this.#query(nowMs) : undefined;
  }

  /** Called a few times a second. */
  due(nowMs: number): PortQuery | undefined {
    this.#forget(nowMs - RECENT_MS);
    const late = nowMs - this.#queriedAtMs >= SCAN_MAX_INTERVAL_MS;
    const differs = Math.abs(this.#recentPorts - this.#queriedPorts) >= CHANGE * this.#queriedPorts;
    const settled = this.#changed && nowMs - this.#grewAtMs >= SETTLED_MS;
    const wanted = (settled && (late || differs)) || (late && this.usedRatio >= HALF_FULL_RATIO);
    return wanted ? this.#query(nowMs) : undefined;
  }

  /** How many of the ports in use are whose. */
  attribute({ holders }: PortQueryResult): Attribution[] {
    let ownerless = holders
      .filter(({ without }) => without === "time_wait")
      .reduce((sum, { ports }) => sum + ports, 0);
    return this.#binders.values().map((binder) => {
      const held = holders
        .filter(({ process }) => binder.pids.has(process?.pid ?? 0))
        .reduce((sum, { ports }) => sum + ports, 0);
      const left = Math.min(ownerless, Math.max(0, binder.ports.size - held));
      ownerless -= left;
      return { binder, ports: held + left };
    });
  }

  #query(nowMs: number): PortQuery | undefined {
    if (this.#recentPorts < MIN_PORTS) return undefined;
    this.#queriedAtMs = nowMs;
    this.#changed = false;
    this.#queriedPorts = this.#recentPorts;
    const binders = this.#binders.values();
    const last = largest(binders, ({ last }) => last.seq)?.last;
    const pids = binders.flatMap((binder) => [...binder.pids]);
    return {
      key: this.#key,
      netns: this.#netns,
      pid: pids.at(-1),
      ...(last !== undefined && { principal: principalOf(last) }),
      protocol: "tcp",
      holdersFrom: HALF_FULL_RATIO,
    };
  }

  #binder(event: ConnectObserved): Binder {
    const { pid = 0, comm, uid } = event.process ?? {};
    const group = (event.cgroup as { id?: string } | undefined)?.id ?? "";
    const identity = `${comm} ${uid} ${group}`;
    const known = this.#binders.get(identity);
    const binder = known ?? {
      identity,
      pids: new Set<number>(),
      ports: new Map<number, number>(),
      firstSeqs: [],
      last: event,
    };
    const evicted = this.#binders.set(identity, binder, principalOf(event));
    this.#recentPorts -= evicted?.ports.size ?? 0;
    if (binder.pids.size < MAX_PIDS) binder.pids.add(pid);
    if (binder.firstSeqs.length < MAX_FIRST_SEQS) binder.firstSeqs.push(event.seq);
    binder.last = event;
    return binder;
  }

  /** Ports that were last used before `thenMs`, and programs that have none left. */
  #forget(thenMs: number): void {
    for (const binder of this.#binders.values()) {
      for (const [port, usedMs] of binder.ports) {
        if (usedMs >= thenMs) break;
        binder.ports.delete(port);
        this.#recentPorts--;
      }
      if (binder.ports.size === 0 && this.usedRatio < HALF_FULL_RATIO)
        this.#binders.delete(binder.identity);
    }
  }
}
