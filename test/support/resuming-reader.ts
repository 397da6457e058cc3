import { setTimeout as sleep } from "node:timers/promises";
import type { ParsedEvent } from "./events.ts";

const PAUSE_MS = 20;

/** Follows a daemon's events over the lives of its serving process: asks for what follows the last. */
export class ResumingReader {
  /** In the order in which they came, notices among them. */
  readonly events: ParsedEvent[] = [];
  /** How often a stream began. */
  streams = 0;
  lastSeq = 0;
  readonly #url: string;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;

  constructor(url: string) {
    this.#url = url;
    this.#ended = this.#follow();
  }

  /** Notices of that kind so far. */
  gaps(where: string): ParsedEvent[] {
    return this.events.filter((event) => event.type === "gap" && event.where === where);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  async #follow(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      // A stream that breaks off is what this is for.
      await this.#read().catch(() => {});
      await sleep(PAUSE_MS);
    }
  }

  /** Of a line that broke off nothing is known. */
  async #read(): Promise<void> {
    const { signal } = this.#stop;
    const response = await fetch(`${this.#url}/events?since=${this.lastSeq}`, { signal });
    if (response.status !== 200 || response.body === null) return;
    this.streams++;
    const decoder = new TextDecoder();
    let rest = "";
    for await (const piece of response.body) {
      const lines = (rest + decoder.decode(piece as Uint8Array, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line !== "") this.#add(JSON.parse(line) as ParsedEvent);
    }
  }

  #add(event: ParsedEvent): void {
    this.events.push(event);
    this.lastSeq = event.seq ?? event.to_seq ?? this.lastSeq;
  }
}
