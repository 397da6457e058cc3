/** Whom an entry is charged to: a group, and a user in it. */
export interface Principal {
  readonly group: string;
  readonly user: string;
}

/**
 * A map that, beyond `capacity` entries, forgets of the group that has most, and of the user of it
 * that has most, what was not asked for longest: nobody can push out what others keep here.
 */
export class FairLruMap<K, V> {
  readonly #capacity: number;
  readonly #principals = new Map<K, Principal>();
  readonly #groups = new Map<string, Group<K, V>>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#principals.size;
  }

  get(key: K): V | undefined {
    const entries = this.#entriesOf(key);
    const value = entries?.get(key);
    if (entries === undefined || value === undefined) return undefined;
    entries.delete(key);
    entries.set(key, value);
    return value;
  }

  /** A key that is known stays charged to whom it was. What had to go is returned. */
  set(key: K, value: V, principal: Principal): V | undefined {
    const known = this.#entriesOf(key);
    if (known !== undefined) {
      known.delete(key);
      known.set(key, value);
      return undefined;
    }
    this.#principals.set(key, principal);
    const group = this.#groups.get(principal.group) ?? { size: 0, users: new Map() };
    this.#groups.set(principal.group, group);
    const entries = group.users.get(principal.user) ?? new Map<K, V>();
    group.users.set(principal.user, entries);
    entries.set(key, value);
    group.size++;
    return this.size > this.#capacity ? this.#makeRoom() : undefined;
  }

  delete(key: K): void {
    const principal = this.#principals.get(key);
    if (principal === undefined) return;
    const group = this.#groups.get(principal.group);
    const entries = group?.users.get(principal.user);
    if (group === undefined || entries === undefined) return;
    this.#principals.delete(key);
    entries.delete(key);
    group.size--;
    if (entries.size === 0) group.users.delete(principal.user);
    if (group.size === 0) this.#groups.delete(principal.group);
  }

  values(): V[] {
    return [...this.#groups.values()].flatMap(({ users }) =>
      [...users.values()].flatMap((entries) => [...entries.values()]),
    );
  }

  #entriesOf(key: K): Map<K, V> | undefined {
    const principal = this.#principals.get(key);
    return principal && this.#groups.get(principal.group)?.users.get(principal.user);
  }

  #makeRoom(): V | undefined {
    const group = largest(this.#groups.values(), ({ size }) => size);
    const entries = group && largest(group.users.values(), ({ size }) => size);
    const oldest = entries?.entries().next();
    if (oldest === undefined || oldest.done) return undefined;
    const [key, value] = oldest.value;
    this.delete(key);
    return value;
  }
}

interface Group<K, V> {
  size: number;
  readonly users: Map<string, Map<K, V>>;
}

/** The first of those that are largest. */
export function largest<T>(items: Iterable<T>, sizeOf: (item: T) => number): T | undefined {
  let found: T | undefined;
  let size = Number.NEGATIVE_INFINITY;
  for (const item of items) {
    if (sizeOf(item) <= size) continue;
    found = item;
    size = sizeOf(item);
  }
  return found;
}
