import type { Endpoint, NetnsName } from "../events/fields.schema.ts";
import { findNamespaces, NamespaceGoneError, type NetworkNamespace } from "../kernel/namespaces.ts";
import type { Principal } from "../util/fair-lru.ts";
import { holdersOf } from "./holders.ts";
import type { PortHolder, PortRangeJson, PortUse } from "./ports.schema.ts";
import { takePortSnapshot } from "./snapshot.ts";

/** Which local ports are in use in a network namespace, and by whom. */
export interface PortQuery {
  /** Names the query: while it waits, the same is not asked again. */
  readonly key: string;
  readonly netns: NetnsName;
  /** A process of that namespace. */
  readonly pid: number | undefined;
  readonly protocol: "tcp" | "udp";
  /** Whom it is charged to, when too many wait. */
  readonly principal?: Principal;
  /** Only holders of ports that are connected to it count. */
  readonly peer?: Endpoint;
  /** Holders are looked for only where this part of the range (0 to 1) is in use: it is work. */
  readonly holdersFrom: number;
}

export interface PortQueryResult {
  readonly range: PortRangeJson;
  /** Text of ip_local_reserved_ports. */
  readonly reserved: string;
  /** Of the protocol. */
  readonly use: PortUse;
  /** Most ports first. */
  readonly holders: readonly PortHolder[];
}

/** Undefined when the namespace is gone or cannot be looked into. */
export type QueryPorts = (query: PortQuery) => Promise<PortQueryResult | undefined>;

/** Those with most ports: more processes than that do not fill a range together. */
const MAX_HOLDERS = 256;

/** Counts ports by the kernel's list of sockets; holders by the descriptors of all processes. */
export const queryPorts: QueryPorts = async (query) => {
  for await (const place of places(query)) {
    try {
      return await count(place, query);
    } catch (error) {
      if (!(error instanceof NamespaceGoneError)) throw error;
    }
  }
  return undefined;
};

/**
 * Ways into the namespace, the cheapest first: a process may have ended or gone elsewhere. Whoever
 * enters looks whether it has the cookie, where the kernel tells one.
 */
async function* places({ netns, pid }: PortQuery): AsyncGenerator<NetworkNamespace> {
  const { inum, name } = netns;
  if (inum === undefined) return;
  const cookie = netns.cookie === undefined ? undefined : BigInt(netns.cookie);
  const at = (path: string) => ({ inum, cookie, name, path });
  if (pid !== undefined) yield at(`/proc/${pid}/ns/net`);
  if (name !== undefined) yield at(`/run/netns/${name}`);
  for (const found of (await findNamespaces()).namespaces) {
    if (found.inum === inum && (found.cookie ?? cookie) === (cookie ?? found.cookie)) yield found;
  }
}

async function count(
  netns: NetworkNamespace,
  { protocol, peer, holdersFrom }: PortQuery,
): Promise<PortQueryResult> {
  const snapshot = await takePortSnapshot(netns);
  const { low, high, available, reserved } = snapshot.range;
  const use = snapshot[protocol];
  const wanted = use.in_use >= holdersFrom * available;
  const holders = wanted
    ? await holdersOf(snapshot, { protocol, ...(peer !== undefined && { peer }) })
    : [];
  const range = { low, high, available };
  return { range, reserved, use, holders: holders.slice(0, MAX_HOLDERS) };
}
