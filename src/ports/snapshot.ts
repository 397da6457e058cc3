import { closeFd } from "libbpf-ts";
import { type ConntrackTable, readConntrackTable } from "../kernel/conntrack-stats.ts";
import { inNamespace, type NetworkNamespace } from "../kernel/namespaces.ts";
import { InterruptedDumpError } from "../kernel/netlink.ts";
import { BOUND_ONLY, LISTEN, listSockets, NOT_LISTEN, openSockDiag } from "../kernel/sock-diag.ts";
import { readSocketCounts, type SocketCounts } from "../kernel/sockstat.ts";
import type { Destination, PortRangeJson, PortUse } from "./ports.schema.ts";
import { type PortRange, readPortRange } from "./range.ts";
import { PortUsage } from "./usage.ts";

/** The local ports of one network namespace at one moment. */
export interface PortSnapshot extends PortCounts {
  readonly range: PortRange;
}

/** What is told of it. */
export interface PortCounts {
  readonly netns: NetworkNamespace;
  readonly range: PortRangeJson;
  readonly tcp: PortUse;
  readonly udp: PortUse;
  /** Of both protocols, those with most ports first, at most 20. */
  readonly destinations: readonly Destination[];
  /** Undefined while conntrack is not loaded. */
  readonly conntrack: ConntrackTable | undefined;
}

const MAX_DESTINATIONS = 20;
const ATTEMPTS = 3;
const EACH_FAMILY = ["ipv4", "ipv6"] as const;

/**
 * Counts the ports that sockets hold, from the kernel's list of them. Counting sockets as they come
 * and go would not do: the end of a socket does not free its port, which TIME_WAIT keeps
 * (inet_twsk_hashdance, net/ipv4/inet_timewait_sock.c), and the functions that free it
 * (inet_bind_bucket_destroy, net/ipv4/inet_hashtables.c) have no tracepoint.
 *
 * The list is not of one instant: sockets that come or go meanwhile may be missed or be in it.
 *
 * @throws NamespaceGoneError if the namespace is no longer there; an Error that names operation
 *   and errno if the kernel refuses to list, or if the list changed under each of 3 attempts.
 */
export async function takePortSnapshot(netns: NetworkNamespace): Promise<PortSnapshot> {
  const { diag, range, counts, conntrack } = inNamespace(netns, () => ({
    counts: readSocketCounts(),
    range: readPortRange(),
    conntrack: readConntrackTable(),
    diag: openSockDiag(),
  }));
  try {
    const tcp = await retryInterrupted(() => countTcp(diag, range, counts));
    const udp = await retryInterrupted(() => countUdp(diag, range, counts));
    const destinations = [tcp, udp]
      .flatMap((one) => one.destinations(MAX_DESTINATIONS))
      .sort((one, other) => other.ports - one.ports)
      .slice(0, MAX_DESTINATIONS);
    return { netns, range, tcp: tcp.use(), udp: udp.use(), destinations, conntrack };
  } finally {
    closeFd(diag);
  }
}

/**
 * A list of connections costs the kernel a walk of all its hash buckets, some 1 ms, however few
 * sockets the namespace has: hence none where none is.
 */
async function countTcp(diag: number, range: PortRange, counts: SocketCounts): Promise<PortUsage> {
  const counted = new PortUsage("tcp", range);
  const protocol = "tcp";
  await eachFamily(async (family) => {
    if (counts.tcp[family] === 0) return;
    const query = { protocol, family, states: LISTEN } as const;
    await listSockets(diag, query, (socket) => counted.addListener(socket));
  });
  await eachFamily(async (family) => {
    const isEmpty = counts.tcp[family] + counts.timeWait === 0;
    const query = { protocol, family, states: isEmpty ? BOUND_ONLY : NOT_LISTEN } as const;
    await listSockets(diag, query, (socket) => counted.add(socket));
  });
  return counted;
}

async function countUdp(diag: number, range: PortRange, counts: SocketCounts): Promise<PortUsage> {
  const counted = new PortUsage("udp", range);
  await eachFamily(async (family) => {
    if (counts.udp[family] === 0) return;
    const query = { protocol: "udp", family, states: NOT_LISTEN } as const;
    await listSockets(diag, query, (socket) => counted.add(socket));
  });
  return counted;
}

/** One after the other: the socket answers one request at a time. */
export async function eachFamily(
  act: (family: (typeof EACH_FAMILY)[number]) => Promise<void>,
): Promise<void> {
  for (const family of EACH_FAMILY) await act(family);
}

/** Begins again when the kernel says that its list changed while it was read. */
export async function retryInterrupted<T>(act: () => Promise<T>): Promise<T> {
  for (let left = ATTEMPTS - 1; ; left--) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof InterruptedDumpError) || left === 0) throw error;
    }
  }
}
