/** Something that can forget what it derived, and derive it again when asked. */
export interface CachedViews {
  dropViews(): void;
}

/**
 * Bounds the memory of decoded objects and encoded lines. Readers near the end share the newest
 * views; views that only a replay touched go first (least recently used).
 */
export class ViewCache {
  #maxBytes: number;
  readonly #held = new Map<CachedViews, number>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of views held now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** `owner` was used and now holds `bytes`; others are dropped if that is too much. */
  hold(owner: CachedViews, bytes: number): void {
    this.#forget(owner);
    this.#held.set(owner, bytes);
    this.#bytes += bytes;
    this.#shrink(owner);
  }

  /** Another bound from now on. */
  limit(maxBytes: number): void {
    this.#maxBytes = maxBytes;
    this.#shrink();
  }

  /** `kept` is being used. */
  #shrink(kept?: CachedViews): void {
    for (const oldest of this.#held.keys()) {
      if (this.#bytes <= this.#maxBytes || oldest === kept) {
        return;
      }
      this.drop(oldest);
    }
  }

  drop(owner: CachedViews): void {
    if (this.#forget(owner)) {
      owner.dropViews();
    }
  }

  #forget(owner: CachedViews): boolean {
    const bytes = this.#held.get(owner);
    if (bytes === undefined) {
      return false;
    }
    this.#bytes -= bytes;
    return this.#held.delete(owner);
  }
}
