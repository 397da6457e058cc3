import type { Principal } from "../util/fair-lru.ts";
import type { Consequence, FindingTuple, Party } from "./finding.ts";
import { ofLargest } from "./room.ts";

const MAX_TUPLES = 8;
/** Ids of processes that are remembered of one party. */
export const MAX_PIDS = 64;
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
export class DistinctTuples {
  readonly #known = new Map<string, { readonly tuple: FindingTuple; readonly whose: string }>();

  add(tuples: readonly FindingTuple[], { group, user }: Principal): void {
    for (const tuple of tuples) {
      const id = JSON.stringify(tuple);
      if (this.#known.has(id)) continue;
      this.#known.set(id, { tuple, whose: `${group} ${user}` });
      if (this.#known.size > MAX_TUPLES) this.#dropLastOfLargest();
    }
  }

  #dropLastOfLargest(): void {
    const lastFirst = [...this.#known].reverse();
    const [last] = ofLargest(lastFirst, ([, { whose }]) => whose);
    if (last !== undefined) this.#known.delete(last[0]);
  }

  get list(): readonly FindingTuple[] {
    return [...this.#known.values()].map(({ tuple }) => tuple);
  }
}

/**
 * A party, and what was seen of it again. The process shown stays the first that was seen, and the
 * socket and addresses are of that one. Failures add up; ports are a level, which replaces the last.
 */
export function mergeParty(before: Party, more: Party): Party {
  const { process, processes, cgroup, netns, ports } = more;
  const isSameProcess = process?.pid === before.process?.pid;
  const failures = (before.failures ?? 0) + (more.failures ?? 0);
  return {
    ...before,
    ...(isSameProcess && more),
    ...(before.process !== undefined && { process: { ...process, ...before.process } }),
    ...(cgroup !== undefined && { cgroup: { ...before.cgroup, ...cgroup } }),
    ...(netns !== undefined && { netns: { ...before.netns, ...netns } }),
    ...(ports !== undefined && { ports }),
    ...(processes !== undefined && { processes }),
    ...(failures > 0 && { failures }),
  };
}

/** Notes the processes of a party, as far as there is room. */
export function notePids(known: number[], pids: readonly (number | undefined)[]): void {
  for (const pid of pids) {
    if (pid === undefined || known.length >= MAX_PIDS || known.includes(pid)) continue;
    known.push(pid);
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
