/** So long may streams keep the process from everything else. */
const STRETCH_MS = 4;

/**
 * Shares the process among the streams and with all the rest: whoever has something to do gets its
 * turns one after the other, and after some milliseconds scrapes and the kernel's rings are next.
 */
export class Turns {
  readonly #queue = new Set<() => void>();
  #scheduled = false;

  /** Calls `turn` soon, once however often it was asked for meanwhile. It should be short. */
  ask(turn: () => void): void {
    this.#queue.add(turn);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#stretch());
  }

  #stretch(): void {
    const end = performance.now() + STRETCH_MS;
    // A turn that asks for another goes to the end, and is still met by this loop.
    for (const turn of this.#queue) {
      this.#queue.delete(turn);
      turn();
      if (performance.now() >= end) break;
    }
    this.#scheduled = this.#queue.size > 0;
    if (this.#scheduled) setImmediate(() => this.#stretch());
  }
}
