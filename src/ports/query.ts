import { closeFd } from "libbpf-ts";
import type { Endpoint, NetnsName } from "../events/fields.schema.ts";
import {
  findNamespaces,
  inNamespace,
  NamespaceGoneError,
  type NetworkNamespace,
} from "../kernel/namespaces.ts";
import { openSockDiag } from "../kernel/sock-diag.ts";
import { readTcpSettings, type TcpSettings } from "../kernel/tcp-settings.ts";
import type { Principal } from "../util/fair-lru.ts";
import { NS_PER_MS } from "../util/units.ts";
import {
  type Claim,
  type ClaimingSocket,
  collectClaims,
  isInTheWay,
  type PortSet,
} from "./claims.ts";
import { findSocketOwners, holdersOf } from "./holders.ts";
import type { Openings, PortLedger } from "./ledger.ts";
import type { PortHolder, PortRangeJson } from "./ports.schema.ts";
import { readPortRange } from "./range.ts";
import { retryInterrupted } from "./snapshot.ts";

/** Which local ports are taken in a network namespace, and by whom. */
export interface PortQuery {
  /** Names the query: while it waits, the same is not asked again. */
  readonly key: string;
  readonly netns: NetnsName;
  /** A process of that namespace. */
  readonly pid: number | undefined;
  readonly protocol: "tcp" | "udp";
  /** Whom it is charged to, when too many wait. */
  readonly principal?: Principal;
  /** Ports that are taken towards it are counted apart, and ports taken elsewhere do not matter. */
  readonly peer?: Endpoint;
  /** This port alone, be it in the range or not. */
  readonly port?: number;
  /** Those of a socket with a range of its own, as far as they are in the namespace's. */
  readonly range?: { readonly low: number; readonly high: number };
  /**
   * When a call failed because each of these ports was taken, in milliseconds since the machine
   * booted: what has been closed since is found by the ledger.
   */
  readonly failedAtMs?: number;
}

/** How many of the ports in question cannot be had, and why; a port may be counted twice. */
export interface TakenPorts {
  readonly total: number;
  /** Towards the peer. */
  readonly towards: number;
  /** Whatever the destination. */
  readonly locked: number;
  /** Of the total, those in TIME_WAIT. */
  readonly waiting: number;
  /** TCP sockets on those that are taken towards the peer and not locked, by the name of their state. */
  readonly states?: Readonly<Record<string, number>>;
}

export interface PortQueryResult {
  /** Undefined where the namespace is gone, and with it its settings. */
  readonly range: PortRangeJson | undefined;
  readonly taken: TakenPorts;
  /** Of those, most ports first. */
  readonly holders: readonly PortHolder[];
  /** Of the locked ones. */
  readonly lockers: readonly PortHolder[];
  /** Where one port was asked for: sockets that have it, at most 16. */
  readonly sockets: readonly ClaimingSocket[];
  readonly settings: TcpSettings | undefined;
}

/** Undefined when nothing is known of it. */
export type QueryPorts = (query: PortQuery) => Promise<PortQueryResult | undefined>;

/** Those with most ports: more programs than that do not fill a range together. */
const MAX_HOLDERS = 256;
const MAX_SOCKETS = 16;

/** Of a port alone, wherever it is. */
const EVERY_PORT: PortSet = { low: 0, high: 65_535, has: () => true };

/** Claims are found by the kernel's list of sockets and by the ledger of who opened ports. */
export async function queryPorts(
  query: PortQuery,
  ledger: PortLedger,
): Promise<PortQueryResult | undefined> {
  const openings = ledger.openings(query.netns, query.protocol);
  for await (const place of places(query)) {
    try {
      return await lookInside(place, query, openings);
    } catch (error) {
      if (!(error instanceof NamespaceGoneError)) throw error;
    }
  }
  return lookBack(query, openings);
}

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

async function lookInside(
  netns: NetworkNamespace,
  query: PortQuery,
  openings: Openings,
): Promise<PortQueryResult> {
  const { diag, range, settings } = inNamespace(netns, () => ({
    diag: openSockDiag(),
    range: readPortRange(),
    settings: readTcpSettings(),
  }));
  const usable = query.range === undefined ? range : range.within(query.range);
  const ports = portsOf(query, usable);
  try {
    const claims = await retryInterrupted(() =>
      collectClaims(diag, claimQuery(query, ports, openings)),
    );
    const { low, high, available } = usable;
    const reserved = usable.reserved === "" ? {} : { reserved: usable.reserved };
    const found = await resultOf(claims, query);
    return { range: { low, high, available, ...reserved }, settings, ...found };
  } finally {
    closeFd(diag);
  }
}

/** Of a namespace that is gone. */
async function lookBack(
  query: PortQuery,
  openings: Openings,
): Promise<PortQueryResult | undefined> {
  const ports = portsOf(query, query.range && ownRange(query.range));
  const claims = await collectClaims(undefined, claimQuery(query, ports, openings));
  if (claims.length === 0) return undefined;
  return { range: undefined, settings: undefined, ...(await resultOf(claims, query)) };
}

function portsOf({ port }: PortQuery, range: PortSet = EVERY_PORT): PortSet {
  return port === undefined ? range : portSet({ low: port, high: port });
}

/** Of a socket: a bound of 0 is none. */
function ownRange({ low, high }: NonNullable<PortQuery["range"]>): PortSet {
  return portSet({ low, high: high === 0 ? EVERY_PORT.high : high });
}

function portSet({ low, high }: { readonly low: number; readonly high: number }): PortSet {
  return { low, high, has: (port) => port >= low && port <= high };
}

function claimQuery(query: PortQuery, ports: PortSet, openings: Openings) {
  const { protocol, peer, failedAtMs } = query;
  return {
    protocol,
    ports,
    openings,
    ...(peer !== undefined && protocol === "tcp" && { peer }),
    ...(failedAtMs !== undefined && { failedAtNs: BigInt(Math.ceil(failedAtMs * NS_PER_MS)) }),
  };
}

/** Of one 4-tuple only a connection with the same ends is in the way. */
async function resultOf(
  all: readonly Claim[],
  { port, peer }: PortQuery,
): Promise<Pick<PortQueryResult, "taken" | "holders" | "lockers" | "sockets">> {
  const isTuple = port !== undefined && peer !== undefined;
  const claims = all.filter(isTuple ? ({ isTowards }) => isTowards : isInTheWay);
  const owners = await findSocketOwners(claims);
  const holders = (of: readonly Claim[]) => holdersOf(of, owners).slice(0, MAX_HOLDERS);
  const count = (is: (claim: Claim) => boolean) =>
    new Set(claims.filter(is).map(({ port }) => port)).size;
  return {
    taken: {
      total: count(() => true),
      towards: count(({ isTowards }) => isTowards),
      locked: count(({ isLocked }) => isLocked),
      waiting: count(({ state }) => state === "time_wait"),
      states: statesOf(claims.filter(({ isLocked }) => !isLocked)),
    },
    holders: holders(claims),
    sockets: claims.flatMap(({ socket }) => socket ?? []).slice(0, MAX_SOCKETS),
    lockers: holders(claims.filter(({ isLocked }) => isLocked)),
  };
}

function statesOf(claims: readonly Claim[]): Readonly<Record<string, number>> {
  const states: Record<string, number> = {};
  for (const { tcpState } of claims) {
    if (tcpState !== undefined) states[tcpState] = (states[tcpState] ?? 0) + 1;
  }
  return states;
}
