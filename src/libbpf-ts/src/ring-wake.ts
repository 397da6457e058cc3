import { type Watch, watchReadable } from "./ffi.ts";
import type { RingBuffer } from "./ring.ts";

export interface WakeOptions {
  /**
   * Pause after a callback before the next, in milliseconds; records gather meanwhile, so that a
   * busy ring costs few wake-ups. Default 2.
   */
  readonly holdOffMs?: number;
}

const DEFAULT_HOLD_OFF_MS = 2;

/** A callback on a ring. */
export interface Subscription {
  /** Ends the callbacks. Does nothing the second time. */
  close(): void;
  /** Lets the process end while the subscription is open. */
  unref(): void;
  ref(): void;
}

class WakeLoop implements Subscription {
  readonly #ring: RingBuffer;
  readonly #callback: () => void | Promise<void>;
  readonly #holdOffMs: number;
  readonly #onClose: (subscription: Subscription) => void;
  readonly #watch: Watch;
  #timer: NodeJS.Timeout | undefined;
  #referenced = true;
  #closed = false;

  constructor(
    ring: RingBuffer,
    callback: () => void | Promise<void>,
    holdOffMs: number,
    onClose: (subscription: Subscription) => void,
  ) {
    this.#ring = ring;
    this.#callback = callback;
    this.#holdOffMs = holdOffMs;
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
    this.#timer = setTimeout(() => this.#afterHoldOff(), this.#holdOffMs);
    if (!this.#referenced) this.#timer.unref();
  }

  #afterHoldOff(): void {
    this.#timer = undefined;
    if (this.#closed) return;
    if (this.#ring.fill() > 0) void this.#wake();
    else this.#watch.arm();
  }
}

/** Made by RingBuffer's `onReadable`. */
export function subscribe(
  ring: RingBuffer,
  callback: () => void | Promise<void>,
  { holdOffMs = DEFAULT_HOLD_OFF_MS }: WakeOptions,
  onClose: (subscription: Subscription) => void,
): Subscription {
  return new WakeLoop(ring, callback, holdOffMs, onClose);
}
