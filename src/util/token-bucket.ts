/** Lets `burst` through at once, then one each `intervalMs`. */
export class TokenBucket {
  readonly #intervalMs: number;
  readonly #burst: number;
  #tokens: number;
  #updatedMs: number;

  constructor(
    { intervalMs, burst }: { readonly intervalMs: number; readonly burst: number },
    nowMs = performance.now(),
  ) {
    this.#intervalMs = intervalMs;
    this.#burst = burst;
    this.#tokens = burst;
    this.#updatedMs = nowMs;
  }

  /** False: not now. */
  take(nowMs = performance.now()): boolean {
    const gained = (nowMs - this.#updatedMs) / this.#intervalMs;
    this.#tokens = Math.min(this.#burst, this.#tokens + gained);
    this.#updatedMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
