import { get, type IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";

const SEQ = '{"seq":';

export interface ReaderStart {
  /** The seq after which it begins; without it, whatever comes next. */
  readonly since?: number;
  readonly gzip?: boolean;
}

/** Follows /events and counts; the first line that is not the one to come is its `fault`. */
export class SoakReader {
  events = 0;
  /** Events that gaps named by their seq: not read in time, or no longer kept. */
  missed = 0;
  /** Events that never had a seq: a ring of the kernel was full, or the limit was reached. */
  lostInKernel = 0;
  fault: string | undefined;
  #next: number | undefined;
  #first: number | undefined;
  #rest = "";
  #body: Readable;
  readonly #response: IncomingMessage;

  private constructor(response: IncomingMessage, { since }: ReaderStart) {
    this.#response = response;
    this.#next = since === undefined ? undefined : since + 1;
    this.#first = this.#next;
    const isGzip = response.headers["content-encoding"] === "gzip";
    this.#body = isGzip ? response.pipe(createGunzip()) : response;
    this.#body.setEncoding("latin1");
    this.#body.on("data", (text: string) => this.#take(text));
    for (const stream of [response, this.#body]) stream.on("error", () => {});
  }

  static open(url: string, start: ReaderStart = {}): Promise<SoakReader> {
    const query = start.since === undefined ? "" : `?since=${start.since}`;
    const headers = start.gzip === true ? { "accept-encoding": "gzip" } : {};
    return new Promise((resolve, reject) => {
      const request = get(`${url}/events${query}`, { agent: false, headers }, (response) => {
        if (response.statusCode === 200) resolve(new SoakReader(response, start));
        else reject(new Error(`/events: status ${response.statusCode}`));
      });
      request.on("error", reject);
    });
  }

  /** The last seq that it had or was told to have missed. */
  get lastSeq(): number {
    return (this.#next ?? 1) - 1;
  }

  /** Each seq from its first to its last came once: as an event, or as missed. */
  get isComplete(): boolean {
    const seqs = this.#first === undefined ? 0 : this.lastSeq - this.#first + 1;
    return this.fault === undefined && this.events + this.missed === seqs;
  }

  pause(): void {
    this.#body.pause();
  }

  resume(): void {
    this.#body.resume();
  }

  /** As when its process is killed with unread data: the daemon gets a reset. */
  kill(): void {
    this.#body.removeAllListeners("data");
    this.#response.socket.resetAndDestroy();
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) if (line !== "") this.#line(line);
  }

  #line(line: string): void {
    if (line.startsWith(SEQ)) {
      this.events++;
      this.#advance(Number.parseInt(line.slice(SEQ.length, SEQ.length + 16), 10), 1, line);
      return;
    }
    const gap = JSON.parse(line) as { type: string; from_seq?: number; missed: number };
    if (gap.type !== "gap") this.fault ??= `neither event nor gap: ${line}`;
    if (gap.from_seq === undefined) {
      this.lostInKernel += gap.missed;
      return;
    }
    this.missed += gap.missed;
    this.#advance(gap.from_seq, gap.missed, line);
  }

  #advance(seq: number, count: number, line: string): void {
    if (this.#next !== undefined && seq !== this.#next) {
      this.fault ??= `expected seq ${this.#next}, got ${line}`;
    }
    this.#first ??= seq;
    this.#next = seq + count;
  }
}
