import type { PortQuery } from "../ports/query.ts";
import { type ConnectObserved, type NetnsName, timeMs } from "./observed.ts";
import { principalOf } from "./principal.ts";

const MAX_PORTS = 65_536;
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

/** The sockets of one network namespace that were bound before they were connected: when to count. */
export class BindBeforeConnectTracker {
  readonly #key: string;
  readonly #netns: NetnsName;
  /** Last use of each local port, ms. */
  readonly #ports = new Map<number, number>();
  readonly firstSeqs: number[] = [];
  last: ConnectObserved;
  #queriedAtMs = Number.NEGATIVE_INFINITY;
  #queriedPorts = 0;
  #grewAtMs = Number.NEGATIVE_INFINITY;
  /** Something was noted since the last query. */
  #changed = false;
  /** Of the range, when last counted. */
  takenRatio = 0;

  constructor(key: string, netns: NetnsName, first: ConnectObserved) {
    this.#key = key;
    this.#netns = netns;
    this.last = first;
  }

  /** A connect from a port that bind() chose. A query if it is time to count. */
  note(event: ConnectObserved, port: number): PortQuery | undefined {
    const nowMs = timeMs(event);
    this.last = event;
    if (this.firstSeqs.length < MAX_FIRST_SEQS) this.firstSeqs.push(event.seq);
    // Last used last, for #forget.
    this.#ports.delete(port);
    if (this.#ports.size < MAX_PORTS) this.#ports.set(port, nowMs);
    this.#grewAtMs = nowMs;
    this.#changed = true;
    const grown = this.#ports.size >= GROWTH * this.#queriedPorts;
    return grown && nowMs - this.#queriedAtMs >= SCAN_MIN_INTERVAL_MS
      ? this.#query(nowMs)
      : undefined;
  }

  /** Called a few times a second. */
  due(nowMs: number): PortQuery | undefined {
    this.#forget(nowMs - RECENT_MS);
    const late = nowMs - this.#queriedAtMs >= SCAN_MAX_INTERVAL_MS;
    const change = Math.abs(this.#ports.size - this.#queriedPorts);
    const differs = change >= CHANGE * this.#queriedPorts;
    const settled = this.#changed && nowMs - this.#grewAtMs >= SETTLED_MS;
    const wanted = (settled && (late || differs)) || (late && this.takenRatio >= HALF_FULL_RATIO);
    return wanted ? this.#query(nowMs) : undefined;
  }

  #query(nowMs: number): PortQuery | undefined {
    if (this.#ports.size < MIN_PORTS) return undefined;
    this.#queriedAtMs = nowMs;
    this.#changed = false;
    this.#queriedPorts = this.#ports.size;
    return {
      key: this.#key,
      netns: this.#netns,
      pid: this.last.process?.pid,
      principal: principalOf(this.last),
      protocol: "tcp",
    };
  }

  #forget(beforeMs: number): void {
    for (const [port, usedAtMs] of this.#ports) {
      if (usedAtMs >= beforeMs) return;
      this.#ports.delete(port);
    }
  }
}
