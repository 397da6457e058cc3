import { closeFd } from "libbpf-ts";
import { type ConntrackTable, readConntrackTable } from "../kernel/conntrack-stats.ts";
import { inNamespace, type NetworkNamespace, ownCookie } from "../kernel/namespaces.ts";
import { InterruptedDumpError } from "../kernel/netlink.ts";
import { openSockDiag } from "../kernel/sock-diag.ts";
import { readSocketCounts, readTcpActivity } from "../kernel/sockstat.ts";
import { readTcpSettings, type TcpSettings } from "../kernel/tcp-settings.ts";
import { countNothing, countTcp, countUdp, type TcpCount } from "./count.ts";
import type { Destination, PortRangeJson, PortUse } from "./ports.schema.ts";
import { type PortRange, readPortRange } from "./range.ts";

/** The local ports of one network namespace at one moment. */
export interface PortSnapshot extends PortCounts {
  readonly range: PortRange;
  /** For the next snapshot of the namespace; undefined where it had no socket. */
  readonly counted: TcpCount | undefined;
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
  /** Only where there is a socket in TIME_WAIT, for which they matter. */
  readonly tcpSettings?: TcpSettings;
}

const MAX_DESTINATIONS = 20;
const ATTEMPTS = 3;

/**
 * Counts the ports that sockets hold, from the kernel's list of them. Counting sockets as they come
 * and go would not do: the end of a socket does not free its port, which TIME_WAIT keeps
 * (inet_twsk_hashdance, net/ipv4/inet_timewait_sock.c), and the functions that free it
 * (inet_bind_bucket_destroy, net/ipv4/inet_hashtables.c) have no tracepoint.
 *
 * The list is not of one instant: sockets that come or go meanwhile may be missed or be in it.
 *
 * With `last`, an earlier snapshot of the same namespace, TCP is counted anew only where something
 * has changed since: see count.ts.
 *
 * Nothing that belongs to the namespace is kept, since an open socket of it would keep it alive.
 *
 * @throws NamespaceGoneError if the namespace is no longer there; an Error that names operation
 *   and errno if the kernel refuses to list, or if the list changed under each of 3 attempts.
 */
export async function takePortSnapshot(
  netns: NetworkNamespace,
  last?: PortSnapshot,
): Promise<PortSnapshot> {
  const { diag, cookie = netns.cookie, conntrack, tcpSettings, ...now } = inNamespace(netns, look);
  const seen = {
    netns: { ...netns, cookie },
    range: now.range,
    conntrack,
    ...(tcpSettings !== undefined && { tcpSettings }),
  };
  if (diag === undefined) {
    const { use } = countNothing(now);
    return { ...seen, tcp: use, udp: use, destinations: [], counted: undefined };
  }
  try {
    const isSame = cookie !== undefined && cookie === last?.netns.cookie;
    const known = isSame ? last?.counted : undefined;
    const counted = await retryInterrupted(() => countTcp(diag, now, known));
    const udp = await retryInterrupted(() => countUdp(diag, now));
    const destinations = [...counted.destinations, ...udp.destinations]
      .sort((one, other) => other.ports - one.ports)
      .slice(0, MAX_DESTINATIONS);
    return { ...seen, tcp: counted.use, udp: udp.use, destinations, counted };
  } finally {
    closeFd(diag);
  }
}

/** All of it in one stay. The counts come first: what changes after them shows in the next ones. */
function look() {
  const counts = readSocketCounts();
  const tcp = counts.tcp + counts.timeWait;
  const isEmpty = counts.used + tcp + counts.udp.ipv4 + counts.udp.ipv6 === 0;
  return {
    counts,
    activity: tcp > 0 ? readTcpActivity() : "",
    cookie: ownCookie(),
    range: readPortRange(),
    conntrack: readConntrackTable(),
    tcpSettings: counts.timeWait > 0 ? readTcpSettings() : undefined,
    diag: isEmpty ? undefined : openSockDiag(),
  };
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
