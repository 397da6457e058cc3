import { LISTEN, listSockets, NOT_LISTEN } from "../kernel/sock-diag.ts";
import type { SocketCounts } from "../kernel/sockstat.ts";
import type { Destination, PortUse } from "./ports.schema.ts";
import type { PortRange } from "./range.ts";
import { PortUsage } from "./usage.ts";

/** A network namespace as it was just before its sockets are listed. */
export interface NamespaceNow {
  readonly range: PortRange;
  readonly counts: SocketCounts;
  /** See readTcpActivity; empty where no TCP socket is in a table. */
  readonly activity: string;
}

/** Of one protocol. */
export interface Count {
  readonly use: PortUse;
  /** Most ports first, at most 20. */
  readonly destinations: readonly Destination[];
}

/** And what it rests on. */
export interface TcpCount extends Count {
  /** What the namespace told of itself just before. */
  readonly basis: string;
  readonly range: PortRange;
  /** Ports of those in the range, in the kernel's order. */
  readonly listeners: readonly number[];
}

const MAX_DESTINATIONS = 20;

/**
 * To list connections the kernel walks the tables of all namespaces: some 1.2 ms where they are
 * empty, 10 ms and more with 100,000 sockets, whosever they are. Hence it is asked only where there
 * may be something, and, given the last count of the namespace, where something has changed since:
 *
 * - A connection comes, goes or changes its state by a segment, which the namespace counts, or with a
 *   change of the number of sockets or of TIME_WAIT: read before a list, equal numbers mean that the
 *   list still holds.
 * - Listeners may be replaced without a segment. They have a table of their own, which is small, and
 *   are compared.
 * - Whether a socket is bound and nothing else no counter tells, but each such socket is one that
 *   `uncounted` has: with any of those, all is counted.
 *
 * What remains needs a pair of exceptions at once that cancel out: sockets of the kernel beside those
 * that are bound only, or connections that come and go without a segment (TCP_REPAIR, or TCP Fast Open
 * that waits for data). So the caller leaves `last` out now and then: see PortSampler.
 */
export async function countTcp(
  diag: number,
  { range, counts, activity }: NamespaceNow,
  last?: TcpCount,
): Promise<TcpCount> {
  const usage = new PortUsage("tcp", range);
  const basis = JSON.stringify([counts, activity]);
  const isTold = last !== undefined && counts.uncounted === 0;
  const tabled = counts.tcp + counts.timeWait;
  const listeners = counts.tcp > 0 ? await countListeners(diag, usage, range) : [];
  const isSame = basis === last?.basis && range === last.range;
  if (isTold && isSame && areEqual(listeners, last.listeners)) return last;
  if (tabled > 0 || !isTold) {
    const query = { protocol: "tcp", states: NOT_LISTEN, ports: range } as const;
    await listSockets(diag, query, (socket) => usage.add(socket));
  }
  return { ...countOf(usage), basis, range, listeners };
}

async function countListeners(
  diag: number,
  usage: PortUsage,
  range: PortRange,
): Promise<readonly number[]> {
  const listeners: number[] = [];
  await listSockets(diag, { protocol: "tcp", states: LISTEN, ports: range }, (socket) => {
    usage.addListener(socket);
    listeners.push(socket.localPort);
  });
  return listeners;
}

/** Always, where there are any: a socket of UDP may be connected elsewhere and nothing tells it. */
export async function countUdp(diag: number, { range, counts }: NamespaceNow): Promise<Count> {
  const usage = new PortUsage("udp", range);
  await eachFamily(async (family) => {
    if (counts.udp[family] === 0) return;
    const query = { protocol: "udp", family, states: NOT_LISTEN, ports: range } as const;
    await listSockets(diag, query, (socket) => usage.add(socket));
  });
  return countOf(usage);
}

/** Of a namespace without any socket. */
export function countNothing({ range }: NamespaceNow): Count {
  return countOf(new PortUsage("tcp", range));
}

function countOf(usage: PortUsage): Count {
  return { use: usage.use(), destinations: usage.destinations(MAX_DESTINATIONS) };
}

const EACH_FAMILY = ["ipv4", "ipv6"] as const;

/** One after the other: the socket answers one request at a time. */
export async function eachFamily(
  act: (family: (typeof EACH_FAMILY)[number]) => Promise<void>,
): Promise<void> {
  for (const family of EACH_FAMILY) await act(family);
}

function areEqual(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((port, index) => port === other[index]);
}
