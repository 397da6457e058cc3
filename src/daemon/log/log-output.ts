import { errnoOf } from "../../util/errno.ts";
import type { WriteNow } from "./descriptor.ts";

/** Lines that wait for a reader that does not read, or a disk that is full. */
const MAX_WAITING_BYTES = 256 * 1024;
const RETRY_MS = 100;
/** The other end has gone, and no other can come. */
const GONE = ["EPIPE", "ECONNRESET", "ENOTCONN"];

export interface LogOutputOptions {
  /** Lines are written again, and so many were dropped meanwhile. */
  onDropped?(lines: number): void;
  readonly maxWaitingBytes?: number;
  readonly retryMs?: number;
}

/**
 * Where log lines go. A line is written before the call returns, if it can be: an early exit loses
 * none. Where it cannot, because the reader stalls or the disk is full, nobody waits and nobody
 * dies: some lines are kept and written later, the others are counted.
 */
export class LogOutput {
  readonly #writeNow: WriteNow;
  readonly #options: LogOutputOptions;
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #retry: NodeJS.Timeout | undefined;
  #dropped = 0;
  #toldDropped = 0;
  #gone = false;

  constructor(writeNow: WriteNow, options: LogOutputOptions = {}) {
    this.#writeNow = writeNow;
    this.#options = options;
  }

  /** Lines that nobody will read, so far. */
  get dropped(): number {
    return this.#dropped;
  }

  write(line: string): void {
    const { maxWaitingBytes = MAX_WAITING_BYTES } = this.#options;
    const bytes = Buffer.from(line);
    if (this.#gone || this.#waitingBytes + bytes.length > maxWaitingBytes) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#retry === undefined) this.flush();
  }

  /** Writes as much as there is room for. */
  flush(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    try {
      this.#writeWaiting();
    } catch (error) {
      if (GONE.includes(errnoOf(error) ?? "")) this.#giveUp();
    }
    if (this.#waiting.length > 0) this.#retryLater();
    else this.#tellDropped();
  }

  #writeWaiting(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const written = this.#writeNow(first);
      this.#waitingBytes -= written;
      if (written === first.length) this.#waiting.shift();
      else this.#waiting[0] = first.subarray(written);
      if (written === 0) return;
    }
  }

  #giveUp(): void {
    this.#gone = true;
    this.#dropped += this.#waiting.length;
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
  }

  #retryLater(): void {
    const { retryMs = RETRY_MS } = this.#options;
    this.#retry = setTimeout(() => this.flush(), retryMs);
    this.#retry.unref();
  }

  #tellDropped(): void {
    const lines = this.#dropped - this.#toldDropped;
    if (lines === 0 || this.#gone) return;
    this.#toldDropped = this.#dropped;
    this.#options.onDropped?.(lines);
  }
}
