import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { checkEvent } from "./documented.ts";
import type { ParsedEvent } from "./events.ts";
import { fetchAgain } from "./fetch.ts";
import { until } from "./until.ts";

/** Of events that are alike: an emulated machine checks fewer a second than it makes. */
const MAX_CHECKED = 10;

const POLL_MS = 200;

/** Follows all events of a daemon from its first, and counts them. */
export class EventTally {
  /** By type, process and what it is: `connect 4711 tcp ok`. */
  readonly counts = new Map<string, number>();
  events = 0;
  missed = 0;
  #lastSeq = 0;
  #hasEnded = false;
  readonly #url: string;
  readonly #stop = new AbortController();
  #ended: Promise<void> = Promise.resolve();

  private constructor(url: string) {
    this.#url = url;
  }

  static async follow(url: string): Promise<EventTally> {
    const tally = new EventTally(url);
    const response = await fetch(`${url}/events?since=0`, { signal: tally.#stop.signal });
    if (response.body === null) throw new Error(`${url}/events: no body`);
    tally.#ended = tally.#read(Readable.fromWeb(response.body));
    return tally;
  }

  /** Counts by what they are, of one process; `all`: with others too. */
  of(type: string, pid?: number): Record<string, number> {
    const found: Record<string, number> = {};
    for (const [key, count] of this.counts) {
      const [itsType, itsPid, ...what] = key.split(" ");
      if (itsType !== type || (pid !== undefined && itsPid !== String(pid))) continue;
      found[what.join(" ")] = (found[what.join(" ")] ?? 0) + count;
    }
    return found;
  }

  /** The processes that events of a type name. */
  pids(type: string): Set<number> {
    const keys = [...this.counts.keys()].map((key) => key.split(" "));
    return new Set(keys.filter(([its]) => its === type).map(([, pid]) => Number(pid)));
  }

  /** Waits until the daemon has had no new event for a second, and all of them are counted. */
  async quiet(): Promise<void> {
    let before = -1;
    let sinceMs = 0;
    const isQuiet = async () => {
      await sleep(POLL_MS);
      const nextSeq = await this.#nextSeq();
      if (nextSeq !== before) sinceMs = performance.now();
      before = nextSeq;
      return performance.now() - sinceMs > 1000 && this.#lastSeq === nextSeq - 1;
    };
    const behind = () =>
      `no more events; the daemon's next is ${before}, the last one read ${this.#lastSeq}, ` +
      `read ${this.events}, missed ${this.missed}${this.#hasEnded ? "; the stream has ended" : ""}`;
    await until(isQuiet, behind, 240_000);
  }

  async #nextSeq(): Promise<number> {
    const response = await fetchAgain(`${this.#url}/status`);
    const { journal } = (await response.json()) as { journal: { next_seq: number } };
    return journal.next_seq;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  async #read(body: Readable): Promise<void> {
    try {
      for await (const line of createInterface({ input: body })) {
        if (line !== "") this.#add(JSON.parse(line) as ParsedEvent);
      }
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error;
    } finally {
      this.#hasEnded = true;
    }
  }

  #add(event: ParsedEvent): void {
    if (event.type === "gap") {
      this.missed += event.missed ?? 0;
      this.#lastSeq = event.to_seq ?? this.#lastSeq;
      return;
    }
    this.events++;
    this.#lastSeq = event.seq ?? this.#lastSeq;
    const { pid = 0 } = (event.process ?? {}) as { pid?: number };
    const key = `${event.type} ${pid} ${describe(event)}`;
    const count = this.counts.get(key) ?? 0;
    if (count < MAX_CHECKED) checkEvent(event);
    this.counts.set(key, count + 1);
  }
}

function describe(event: ParsedEvent): string {
  if (event.type === "connect") {
    const conflict = event.conflict === undefined ? "" : " conflict";
    return `${event.protocol} ${event.result}${conflict}`;
  }
  if (event.type === "challenge_ack") return String(event.trigger);
  if (event.type === "challenge_outcome") return String(event.outcome);
  if (event.type === "finding") return String(event.kind);
  return `${event.protocol} ${event.verdict} ${event.cause}`;
}
