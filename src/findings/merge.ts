import type { Principal } from "../util/fair-lru.ts";
import type { Consequence, FindingTuple, Party } from "./finding.ts";
import { netnsKey } from "./format.ts";
import { principalOf } from "./principal.ts";
import { ofLargest } from "./room.ts";

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

/** Different ones, the first few of each who has a part in them: nobody fills the list alone. */
class Distinct<T extends object> {
  readonly #known = new Map<string, { value: T; readonly principal: Principal }>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  /** One that is known is brought up to date. True if it is new, and kept. */
  add(id: string, value: T, principal: Principal): boolean {
    const known = this.#known.get(id);
    if (known !== undefined) {
      known.value = { ...known.value, ...value };
      return false;
    }
    this.#known.set(id, { value, principal });
    if (this.#known.size <= this.#max) return true;
    const lastFirst = [...this.#known].reverse();
    const [last] = ofLargest(
      lastFirst,
      ([, one]) => `${one.principal.group} ${one.principal.user}`,
    );
    this.#known.delete(last?.[0] ?? id);
    return last?.[0] !== id;
  }

  get list(): readonly T[] {
    return [...this.#known.values()].map(({ value }) => value);
  }
}

export class DistinctParties {
  readonly #parties = new Distinct<Party>(MAX_PARTIES);

  /** True if one was added. */
  add(parties: readonly Party[]): boolean {
    const added = parties.filter((one) => this.#parties.add(partyId(one), one, principalOf(one)));
    return added.length > 0;
  }

  get list(): readonly Party[] {
    return this.#parties.list;
  }
}

/**
 * The same process in the same role is one party, whichever of its sockets it was. Its id alone may
 * be another one's by now, and without a process addresses mean nothing but in their namespace.
 */
function partyId({ role, process, cgroup, netns, local, peer }: Party): string {
  const who = process?.pid ?? [local?.address, peer?.address];
  return JSON.stringify([role, who, process?.uid, cgroup?.id ?? cgroup?.path, netnsKey(netns)]);
}

export class DistinctTuples {
  readonly #tuples = new Distinct<FindingTuple>(MAX_TUPLES);

  add(tuples: readonly FindingTuple[], principal: Principal): void {
    for (const tuple of tuples) this.#tuples.add(JSON.stringify(tuple), tuple, principal);
  }

  get list(): readonly FindingTuple[] {
    return this.#tuples.list;
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
