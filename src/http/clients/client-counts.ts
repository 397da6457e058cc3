import type { Client } from "./client.ts";

/** How many places each client holds. No larger than the number of places. */
export class ClientCounts {
  readonly #owners = new Map<string, Map<string, number>>();

  add({ owner, address }: Client): void {
    const addresses = this.#owners.get(owner) ?? new Map<string, number>();
    this.#owners.set(owner, addresses);
    addresses.set(address, (addresses.get(address) ?? 0) + 1);
  }

  remove({ owner, address }: Client): void {
    const addresses = this.#owners.get(owner);
    const left = (addresses?.get(address) ?? 0) - 1;
    if (left > 0) addresses?.set(address, left);
    else addresses?.delete(address);
    if (addresses?.size === 0) this.#owners.delete(owner);
  }

  ofOwner({ owner }: Client): number {
    return sum(this.#owners.get(owner));
  }

  ofAddress({ owner, address }: Client): number {
    return this.#owners.get(owner)?.get(address) ?? 0;
  }

  /** By owners, or by addresses if they have the same one. */
  holdsNoLess(one: Client, other: Client): boolean {
    return one.owner === other.owner
      ? this.ofAddress(one) >= this.ofAddress(other)
      : this.ofOwner(one) >= this.ofOwner(other);
  }

  /**
   * The client that should give a place to `newcomer`, who is not counted yet: the owner that holds
   * most, and of his addresses the one that does, if he still holds no less than the newcomer then.
   * Among addresses of the newcomer's own owner likewise. Undefined if the places are shared fairly.
   */
  greediest(newcomer: Client): Client | undefined {
    const [owner, most] = largest(this.#owners, sum);
    const giver = most > this.ofOwner(newcomer) + 1 ? owner : newcomer.owner;
    const [address, held] = largest(this.#owners.get(giver) ?? new Map<string, number>(), (n) => n);
    const isFair = giver === newcomer.owner && held <= this.ofAddress(newcomer) + 1;
    return isFair ? undefined : { owner: giver, address };
  }
}

function sum(addresses: ReadonlyMap<string, number> | undefined): number {
  let total = 0;
  for (const count of addresses?.values() ?? []) total += count;
  return total;
}

function largest<T>(counts: ReadonlyMap<string, T>, sizeOf: (value: T) => number) {
  let found: [key: string, size: number] = ["", 0];
  for (const [key, value] of counts) {
    const size = sizeOf(value);
    if (size > found[1]) found = [key, size];
  }
  return found;
}
