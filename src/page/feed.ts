import type { TuplewatchEvent } from "../events/event.ts";
import { EVENT_TYPES } from "../events/event-types.ts";
import type { EndOfStream } from "../http/openapi/answers.schema.ts";
import type { Status } from "../http/openapi/status.schema.ts";
import { getJson } from "./api.ts";

export interface Listener {
  /** A daemon that was not seen before: what was shown is of another one. */
  restarted(): void;
  status(status: Status): void;
  /** `isLive`: it happened while this page watched, and is not from before. */
  event(event: TuplewatchEvent, isLive: boolean): void;
  connection(state: "broken" | "connecting" | "live", words: string): void;
}

/** How many earlier events are asked for when the page opens. */
const REPLAY = 200;

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 10_000;

/**
 * The stream of events, opened again whenever it breaks. Not left to EventSource: that gives up at
 * an answer like 503, and after a restart of the daemon would ask for a seq of the earlier one.
 */
export class Feed {
  readonly #listener: Listener;
  #life = "";
  #lastSeq = 0;
  #liveFrom = 0;
  #retryMs = FIRST_RETRY_MS;

  constructor(listener: Listener) {
    this.#listener = listener;
  }

  async open(): Promise<void> {
    try {
      const status = await getJson<Status>("status");
      this.#meet(status);
      this.#listen();
    } catch (error) {
      this.#retry(error instanceof Error ? error.message : String(error));
    }
  }

  #meet(status: Status): void {
    const { started_at: startedAt, journal } = status;
    if (startedAt !== this.#life) {
      this.#life = startedAt;
      this.#lastSeq = Math.max(0, journal.oldest_seq - 1, journal.next_seq - 1 - REPLAY);
      this.#listener.restarted();
    }
    this.#liveFrom = journal.next_seq;
    this.#listener.status(status);
  }

  #listen(): void {
    const source = new EventSource(`events?since=${this.#lastSeq}`);
    const broken = (why: string) => {
      source.close();
      this.#retry(why);
    };
    source.addEventListener("open", () => {
      this.#retryMs = FIRST_RETRY_MS;
      this.#listener.connection("live", "live");
    });
    source.addEventListener("error", () => broken("the stream of events broke off"));
    source.addEventListener("end", ({ data }: MessageEvent<string>) => {
      const { reason } = JSON.parse(data) as EndOfStream;
      broken(reason === "displaced" ? "too many streams are open" : "the daemon is stopping");
    });
    for (const type of EVENT_TYPES) {
      source.addEventListener(type, ({ data }: MessageEvent<string>) => this.#take(data));
    }
  }

  #take(data: string): void {
    const event = JSON.parse(data) as TuplewatchEvent;
    this.#lastSeq = Math.max(this.#lastSeq, event.seq ?? 0);
    this.#listener.event(event, (event.seq ?? 0) >= this.#liveFrom);
  }

  #retry(why: string): void {
    this.#listener.connection("broken", `not connected, trying again: ${why}`);
    setTimeout(() => void this.open(), this.#retryMs);
    this.#retryMs = Math.min(2 * this.#retryMs, LAST_RETRY_MS);
  }
}
