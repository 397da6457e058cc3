/** So long may streams keep the process from everything else. */
const TIME_SLICE_MS = 4;

/**
 * Shares the process among the streams and with all the rest: whoever has something to do gets its
 * turns one after the other, and after some milliseconds scrapes and the kernel's rings are next.
 */
export class FairScheduler {
  readonly #queue = new Set<() => void>();
  #scheduled = false;

  /** Calls `task` soon, once however often it was asked for meanwhile. It should be short. */
  schedule(task: () => void): void {
    this.#queue.add(task);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#runSlice());
  }

  #runSlice(): void {
    const end = performance.now() + TIME_SLICE_MS;
    // A task that schedules itself again goes to the end, and is still met by this loop.
    for (const task of this.#queue) {
      this.#queue.delete(task);
      task();
      if (performance.now() >= end) break;
    }
    this.#scheduled = this.#queue.size > 0;
    if (this.#scheduled) setImmediate(() => this.#runSlice());
  }
}
