const MAX_PENDING = 64;

/** One failure, and others like it for which there was no room. */
export interface PendingFailure<F> {
  readonly failure: F;
  count: number;
}

/**
 * Failures that wait for a look at the ports. None is lost: beyond the first few they are counted with
 * one of the same group, or with the last.
 */
export class PendingFailures<F> {
  readonly #groupOf: (failure: F) => string;
  #pending: PendingFailure<F>[] = [];

  constructor(groupOf: (failure: F) => string) {
    this.#groupOf = groupOf;
  }

  add(failure: F): void {
    const known = this.#pending.length < MAX_PENDING ? undefined : this.#alike(failure);
    if (known === undefined) this.#pending.push({ failure, count: 1 });
    else known.count++;
  }

  takeAll(): readonly PendingFailure<F>[] {
    const all = this.#pending;
    this.#pending = [];
    return all;
  }

  #alike(failure: F): PendingFailure<F> | undefined {
    const group = this.#groupOf(failure);
    const isAlike = (one: PendingFailure<F>) => this.#groupOf(one.failure) === group;
    return this.#pending.findLast(isAlike) ?? this.#pending.at(-1);
  }
}
