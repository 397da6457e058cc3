import type { Consequence, FindingTuple, Party } from "./finding.ts";

const MAX_PARTIES = 8;
const MAX_TUPLES = 8;
const FIRST_SEQS = 5;
const LAST_SEQS = 15;

/** The first and the last seqs of all that a finding rests on. */
export class Evidence {
  readonly #seqs: number[] = [];
  #count = 0;

  add(seqs: readonly number[]): void {
    for (const seq of seqs) {
      if (this.#seqs.includes(seq)) continue;
      this.#count++;
      this.#seqs.push(seq);
      if (this.#seqs.length > FIRST_SEQS + LAST_SEQS) this.#seqs.splice(FIRST_SEQS, 1);
    }
  }

  /** That of another finding, as if it had come first. */
  prepend(other: Evidence): void {
    const own = this.#seqs.splice(0);
    const ownCount = this.#count;
    this.#count = 0;
    this.add(other.#seqs);
    this.add(own);
    this.#count = other.#count + ownCount;
  }

  get seqs(): readonly number[] {
    return [...this.#seqs].sort((left, right) => left - right);
  }

  get count(): number {
    return this.#count;
  }
}

/** Different ones, the first few. True if one was added. */
export class DistinctParties {
  readonly #known = new Map<string, Party>();

  /** A party that is known is brought up to date. */
  add(parties: readonly Party[]): boolean {
    let added = false;
    for (const party of parties) {
      const id = partyId(party);
      if (!this.#known.has(id)) {
        if (this.#known.size >= MAX_PARTIES) continue;
        added = true;
      }
      this.#known.set(id, { ...this.#known.get(id), ...party });
    }
    return added;
  }

  get list(): readonly Party[] {
    return [...this.#known.values()];
  }
}

/** The same process in the same role is one party, whichever of its sockets it was. */
function partyId({ role, process, local, peer }: Party): string {
  const who = process?.pid ?? JSON.stringify([process?.uid, local?.address, peer?.address]);
  return `${role} ${who}`;
}

export class DistinctTuples {
  readonly #known = new Map<string, FindingTuple>();

  add(tuples: readonly FindingTuple[]): void {
    for (const tuple of tuples) {
      if (this.#known.size >= MAX_TUPLES) return;
      this.#known.set(JSON.stringify(tuple), tuple);
    }
  }

  get list(): readonly FindingTuple[] {
    return [...this.#known.values()];
  }
}

export function mergeConsequence(
  before: Consequence,
  more: Consequence,
  levels: Consequence = {},
): Consequence {
  const merged: Record<string, number> = { ...before };
  for (const [name, value] of Object.entries(more)) {
    const old = merged[name];
    if (old === undefined) merged[name] = value;
    else merged[name] = name.endsWith("_max") ? Math.max(old, value) : rounded(old + value);
  }
  return { ...merged, ...levels };
}

/** Sums of milliseconds, without what binary fractions add to them. */
function rounded(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}
