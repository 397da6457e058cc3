/** Lets `burst` through at once, then one each `intervalMs`. */
export class TokenBucket {
  readonly #intervalMs: number;
  readonly #burst: number;
  #tokens: number;
  #updatedMs: number;

  constructor({ intervalMs, burst }: { intervalMs: number; burst: number }, nowMs: number) {
    this.#intervalMs = intervalMs;
    this.#burst = burst;
    this.#tokens = burst;
    this.#updatedMs = nowMs;
  }

  take(nowMs: number): boolean {
    const gained = (nowMs - this.#updatedMs) / this.#intervalMs;
    this.#tokens = Math.min(this.#burst, this.#tokens + gained);
    this.#updatedMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
