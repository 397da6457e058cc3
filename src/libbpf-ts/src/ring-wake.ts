import { type Watch, watchReadable } from "./ffi.ts";
import type { RingBuffer } from "./ring.ts";

export interface WakeOptions {
  /**
   * Pause after a callback before the next, in milliseconds; records gather meanwhile, so that a
   * busy ring costs few wake-ups. Default 2.
   */
  readonly holdOffMs?: number;
  /**
   * A pause ends once so many bytes wait, or soon after: a long one must not let the ring become
   * full. Looked at each few milliseconds; by default half of the ring.
   */
  readonly urgentBytes?: number;
}

const DEFAULT_HOLD_OFF_MS = 2;

/** How often a longer pause is looked at; costs some microseconds. */
const LOOK_MS = 10;

/** Timers count whole milliseconds, and may come that much early. */
const CLOCK_SLACK_MS = 1;

/** A callback on a ring. */
export interface Subscription {
  /** Ends the callbacks. Does nothing the second time. */
  close(): void;
  /** Lets the process end while the subscription is open. */
  unref(): void;
  ref(): void;
  /** Another pause from now on, also for one that is under way. */
  setHoldOff(holdOffMs: number): void;
}

class WakeLoop implements Subscription {
  readonly #ring: RingBuffer;
  readonly #callback: () => void | Promise<void>;
  readonly #urgentBytes: number;
  #holdOffMs: number;
  /** When the pause began. */
  #pausedAtMs = 0;
  readonly #onClose: (subscription: Subscription) => void;
  readonly #watch: Watch;
  #timer: NodeJS.Timeout | undefined;
  #referenced = true;
  #closed = false;

  constructor(
    ring: RingBuffer,
    callback: () => void | Promise<void>,
    { holdOffMs = DEFAULT_HOLD_OFF_MS, urgentBytes = ring.size / 2 }: WakeOptions,
    onClose: (subscription: Subscription) => void,
  ) {
    this.#ring = ring;
    this.#callback = callback;
    this.#holdOffMs = holdOffMs;
    this.#urgentBytes = urgentBytes;
    this.#onClose = onClose;
    // The descriptor stays readable until the records are released: a watch tells it only once.
    this.#watch = watchReadable(ring.fd, () => void this.#wake());
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#watch.close();
    this.#onClose(this);
  }

  unref(): void {
    this.#referenced = false;
    this.#watch.unref();
    this.#timer?.unref();
  }

  ref(): void {
    this.#referenced = true;
    this.#watch.ref();
    this.#timer?.ref();
  }

  setHoldOff(holdOffMs: number): void {
    this.#holdOffMs = holdOffMs;
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#pause();
  }

  async #wake(): Promise<void> {
    try {
      await this.#callback();
    } catch (error) {
      // As an error in any other event callback: to the process, not into a lost promise.
      process.nextTick(() => {
        throw error;
      });
    }
    if (this.#closed) return;
    this.#pausedAtMs = performance.now();
    this.#pause();
  }

  /** For what is left of it, or until it is to be looked at. */
  #pause(): void {
    const leftMs = this.#pausedAtMs + this.#holdOffMs - performance.now();
    this.#timer = setTimeout(() => this.#look(), Math.min(Math.max(leftMs, 0), LOOK_MS));
    if (!this.#referenced) this.#timer.unref();
  }

  #look(): void {
    this.#timer = undefined;
    if (this.#closed) return;
    const fill = this.#ring.fill();
    const isOver = performance.now() - this.#pausedAtMs >= this.#holdOffMs - CLOCK_SLACK_MS;
    if (!isOver && fill < this.#urgentBytes) this.#pause();
    else if (fill > 0) void this.#wake();
    else this.#watch.arm();
  }
}

/** Made by RingBuffer's `onReadable`. */
export function subscribe(
  ring: RingBuffer,
  callback: () => void | Promise<void>,
  options: WakeOptions,
  onClose: (subscription: Subscription) => void,
): Subscription {
  return new WakeLoop(ring, callback, options, onClose);
}
