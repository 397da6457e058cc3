import { largest, type Principal } from "../util/fair-lru.ts";
import { heavierFirst } from "./blame.ts";
import type { Party } from "./finding.ts";
import { netnsKey } from "./format.ts";
import { mergeParty, notePids } from "./merge.ts";
import { principalOf } from "./principal.ts";

const MAX_SHOWN = 8;
/** Of each role, so that those of one role do not push out those of another. */
const ROLE_PLACES = 2;

/** More are counted than shown: who comes late may turn out to have most. */
const MAX_KNOWN = 64;
const KEPT = 32;

/** All of a cgroup2 tree, or of a host whose processes are in other hierarchies: no identity. */
const ROOT_CGROUP_ID = "1";

interface Known {
  /** In the order they were first seen; its identity. */
  readonly number: number;
  /** What it has in common with others of the same user and place. */
  readonly scope: string;
  readonly principal: Principal;
  readonly pids: number[];
  party: Party;
  seenAt: number;
}

/**
 * Who is in a finding: programs rather than processes, those of each role with most failures or
 * ports, and of each user and cgroup some.
 */
export class DistinctParties {
  readonly #known = new Map<string, Known>();
  readonly #roles: string[] = [];
  #count = 0;
  #clock = 0;
  #shown: readonly Known[] | undefined;

  /** Of one observation: the ports of several processes of one party are counted together. */
  add(parties: readonly Party[]): void {
    const counted = new Set<Known>();
    for (const party of parties) {
      const known = this.#find(party);
      if (known !== undefined) this.#update(known, party, counted.has(known));
      counted.add(known ?? this.#insert(party, [party.process?.pid]));
    }
    this.#shown = undefined;
  }

  /** Those of another finding, with what is remembered of them. */
  absorb(other: DistinctParties): void {
    for (const { party, pids } of other.#known.values()) {
      const known = this.#find(party);
      if (known === undefined) this.#insert(party, pids);
      else {
        this.#update(known, party, false);
        notePids(known.pids, pids);
      }
    }
    this.#shown = undefined;
  }

  /** By role, in the order that roles came in; within a role those with most failures or ports first. */
  get list(): readonly Party[] {
    return this.#choose().map(({ party, pids: { length } }) =>
      Math.max(length, party.processes ?? 0) < 2
        ? party
        : { ...party, processes: Math.max(length, party.processes ?? 0) },
    );
  }

  /** Changes when others are shown, not when more is seen of them. */
  get identity(): string {
    const numbers = this.#choose().map(({ number }) => number);
    return numbers.sort((one, other) => one - other).join(" ");
  }

  /** Processes of those shown, one that was there early and one that came late of each. */
  get pids(): number[] {
    const ends = this.#choose().flatMap(({ pids }) => [pids[0], pids.at(-1)]);
    return [...new Set(ends)].filter((pid) => pid !== undefined);
  }

  #update(known: Known, party: Party, isCounted: boolean): void {
    const { ports } = party;
    const sum = isCounted && ports !== undefined ? ports + (known.party.ports ?? 0) : ports;
    known.party = mergeParty(known.party, { ...party, ...(sum !== undefined && { ports: sum }) });
    known.seenAt = ++this.#clock;
    notePids(known.pids, [party.process?.pid]);
  }

  #insert(party: Party, seen: readonly (number | undefined)[]): Known {
    const pids: number[] = [];
    notePids(pids, seen);
    const known: Known = {
      number: ++this.#count,
      scope: scopeOf(party),
      principal: principalOf(party),
      pids,
      party,
      seenAt: ++this.#clock,
    };
    this.#known.set(idOf(party), known);
    if (!this.#roles.includes(party.role)) this.#roles.push(party.role);
    if (this.#known.size > MAX_KNOWN) this.#forget();
    return known;
  }

  /**
   * Threads of one process may have names of their own; they are that process's party all the same.
   * A process whose cgroup could not be told is of the program that it is called after, if there is
   * one in its place.
   */
  #find(party: Party): Known | undefined {
    const known = this.#known.get(idOf(party));
    const { pid, comm } = party.process ?? {};
    if (known !== undefined || pid === undefined) return known;
    const scope = scopeOf(party);
    const all = [...this.#known.values()];
    const isSameProgram = (one: Known) =>
      one.party.process?.comm === comm &&
      placeOf(one.party) === placeOf(party) &&
      (cgroupOf(party) === undefined || cgroupOf(one.party) === undefined);
    const own = all.find((one) => one.scope === scope && one.pids.includes(pid));
    return own ?? all.find(isSameProgram);
  }

  #choose(): readonly Known[] {
    if (this.#shown !== undefined) return this.#shown;
    const ranked = [...this.#known.values()].sort(
      (one, other) => heavierFirst(one.party, other.party) || one.number - other.number,
    );
    const chosen = choose(ranked, this.#roles, MAX_SHOWN);
    const place = ({ party }: Known) => this.#roles.indexOf(party.role);
    this.#shown = ranked
      .filter((one) => chosen.has(one))
      .sort((one, other) => place(one) - place(other));
    return this.#shown;
  }

  /** Keeps what is shown, and of the others those with most; of equals those seen last. */
  #forget(): void {
    this.#shown = undefined;
    const shown = new Set(this.#choose());
    const others = [...this.#known.values()]
      .filter((one) => !shown.has(one))
      .sort((one, other) => heavierFirst(one.party, other.party) || other.seenAt - one.seenAt);
    const kept = choose(others, this.#roles, KEPT - shown.size);
    for (const [id, one] of this.#known) {
      if (!shown.has(one) && !kept.has(one)) this.#known.delete(id);
    }
  }
}

/** The first of each role, then of each user and cgroup as many as of others. */
function choose(ranked: readonly Known[], roles: readonly string[], max: number): Set<Known> {
  const chosen = new Set<Known>();
  const add = (one: Known | undefined) => one !== undefined && chosen.size < max && chosen.add(one);
  for (let place = 0; place < ROLE_PLACES; place++) {
    for (const role of roles) add(fairest(ranked.filter(hasRole(role)), chosen, hasRole(role)));
  }
  while (chosen.size < Math.min(max, ranked.length)) add(fairest(ranked, chosen, () => true));
  return chosen;
}

function hasRole(role: string) {
  return ({ party }: Known) => party.role === role;
}

/** Of the cgroup that has fewest of those chosen, and of its user that has fewest, the first. */
function fairest(
  ranked: readonly Known[],
  chosen: ReadonlySet<Known>,
  counts: (one: Known) => boolean,
): Known | undefined {
  const rivals = [...chosen].filter(counts).map(({ principal }) => principal);
  return largest(
    ranked.filter((one) => !chosen.has(one)),
    ({ principal: { group, user } }) => {
      const ofGroup = rivals.filter((other) => other.group === group);
      const ofUser = ofGroup.filter((other) => other.user === user);
      return -ofGroup.length - ofUser.length / (rivals.length + 1);
    },
  );
}

/**
 * One program of one user in one cgroup and network namespace is one party in a role, however many
 * processes it has. Without a process, addresses are all there is.
 */
function idOf(party: Party): string {
  const { process, local, peer } = party;
  const who = process?.comm || process?.pid || [local?.address, peer?.address];
  return `${scopeOf(party)} ${JSON.stringify(who)}`;
}

/** A comm or an address means nothing but in its place. */
function scopeOf(party: Party): string {
  return JSON.stringify([placeOf(party), cgroupOf(party)]);
}

function placeOf({ role, process, netns }: Party): string {
  return JSON.stringify([role, process?.uid, netnsKey(netns)]);
}

/** What it is known by; undefined: that could not be told. */
function cgroupOf({ cgroup }: Party): string | undefined {
  return (cgroup?.id === ROOT_CGROUP_ID ? undefined : cgroup?.id) ?? cgroup?.path;
}
