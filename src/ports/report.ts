import { formatNetns } from "../events/fields.ts";
import { findNamespaces, NamespaceGoneError, type NetworkNamespace } from "../kernel/namespaces.ts";
import { reasonOf } from "../util/errno.ts";
import { yieldToEventLoop } from "../util/yielding.ts";
import { holdersOf } from "./holders.ts";
import type { PortHolder } from "./ports.schema.ts";
import type { NamespacePorts, PortReport, UnreadableNamespace } from "./report.schema.ts";
import { type PortSnapshot, takePortSnapshot } from "./snapshot.ts";

export interface PortReportQuery {
  /** Cookie, inode number or name; by default all namespaces whose ports are in use. */
  readonly netns?: string | undefined;
  readonly protocol?: "tcp" | "udp" | undefined;
}

/** Namespaces looked into by one report: each costs a walk over all processes' descriptors. */
const MAX_NAMESPACES = 16;
const MAX_HOLDERS = 100;
const MAX_UNREADABLE = 100;

/**
 * Who holds local ports, as JSON; the busiest namespaces first, and in each the busiest process.
 * A namespace that may not be looked into is told beside the others.
 */
export async function portReport(query: PortReportQuery): Promise<PortReport> {
  const unreadable: UnreadableNamespace[] = [];
  const snapshots: PortSnapshot[] = [];
  for (const netns of (await findNamespaces()).namespaces) {
    if (!isWanted(netns, query.netns)) continue;
    snapshots.push(...(await look(netns, unreadable, () => takePortSnapshot(netns))));
    await yieldToEventLoop();
  }
  const busy = snapshots
    .filter((snapshot) => query.netns !== undefined || inUse(snapshot) > 0)
    .sort((one, other) => inUse(other) - inUse(one));
  const reports: NamespacePorts[] = [];
  for (const snapshot of busy.slice(0, MAX_NAMESPACES)) {
    const find = async () => reportOf(snapshot, await holdersOf(snapshot, protocolOf(query)));
    reports.push(...(await look(snapshot.netns, unreadable, find)));
  }
  return {
    network_namespaces: reports,
    left_out: Math.max(0, busy.length - MAX_NAMESPACES),
    unreadable: unreadable.slice(0, MAX_UNREADABLE),
  };
}

/** What `act` finds, or nothing: of a namespace that has gone, or that refuses. */
async function look<T>(
  netns: NetworkNamespace,
  unreadable: UnreadableNamespace[],
  act: () => Promise<T>,
): Promise<T[]> {
  try {
    return [await act()];
  } catch (error) {
    if (!(error instanceof NamespaceGoneError)) {
      unreadable.push({ ...identity(netns), reason: reasonOf(error) });
    }
    return [];
  }
}

function isWanted({ inum, cookie, name }: NetworkNamespace, wanted: string | undefined): boolean {
  if (wanted === undefined) return true;
  return [String(inum), String(cookie), name].includes(wanted);
}

function inUse({ tcp, udp }: PortSnapshot): number {
  return tcp.in_use + udp.in_use;
}

function protocolOf({ protocol }: PortReportQuery): { protocol?: "tcp" | "udp" } {
  return protocol === undefined ? {} : { protocol };
}

function identity({ cookie, inum, name }: NetworkNamespace) {
  return { ...formatNetns(cookie ?? 0n, inum), ...(name !== undefined && { name }) };
}

function reportOf(snapshot: PortSnapshot, holders: readonly PortHolder[]): NamespacePorts {
  const { netns, range, tcp, udp, destinations } = snapshot;
  return {
    ...identity(netns),
    range: { low: range.low, high: range.high, available: range.available },
    in_use: { tcp: tcp.in_use, udp: udp.in_use },
    destinations,
    holders: holders.slice(0, MAX_HOLDERS),
  };
}
