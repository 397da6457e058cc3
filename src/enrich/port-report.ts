import { findNamespaces, NamespaceGoneError, type NetworkNamespace } from "../kernel/namespaces.ts";
import { type PortSnapshot, takePortSnapshot } from "../kernel/ports.ts";
import { formatNetns } from "../probes/fields.ts";
import { holdersOf, type PortHolder } from "./port-holders.ts";
import type { NamespacePorts, PortReport } from "./port-report.schema.ts";
import { workloadOf } from "./workload.ts";

export interface PortReportQuery {
  /** Cookie, inode number or name; by default all namespaces whose ports are in use. */
  readonly netns?: string | undefined;
  readonly protocol?: "tcp" | "udp" | undefined;
}

/** Namespaces looked into by one report: each costs a walk over all processes' descriptors. */
const MAX_NAMESPACES = 16;
const MAX_HOLDERS = 100;

/** Who holds local ports, as JSON; the busiest namespaces first, and in each the busiest process. */
export async function portReport(query: PortReportQuery): Promise<PortReport> {
  const { namespaces } = await findNamespaces();
  const snapshots: PortSnapshot[] = [];
  for (const namespace of namespaces.filter((one) => isWanted(one, query.netns))) {
    const snapshot = await unlessGone(() => takePortSnapshot(namespace));
    if (snapshot !== undefined) snapshots.push(snapshot);
  }
  const busy = snapshots
    .filter((snapshot) => query.netns !== undefined || inUse(snapshot) > 0)
    .sort((one, other) => inUse(other) - inUse(one));
  const reports: NamespacePorts[] = [];
  for (const snapshot of busy.slice(0, MAX_NAMESPACES)) {
    const holders = await unlessGone(() => holdersOf(snapshot, protocolOf(query)));
    if (holders !== undefined) reports.push(describe(snapshot, holders));
  }
  return { network_namespaces: reports, left_out: Math.max(0, busy.length - MAX_NAMESPACES) };
}

function isWanted({ inum, cookie, name }: NetworkNamespace, wanted: string | undefined): boolean {
  if (wanted === undefined) return true;
  return [String(inum), String(cookie), name].includes(wanted);
}

function inUse({ tcp, udp }: PortSnapshot): number {
  return tcp.inUse + udp.inUse;
}

function protocolOf({ protocol }: PortReportQuery): { protocol?: "tcp" | "udp" } {
  return protocol === undefined ? {} : { protocol };
}

async function unlessGone<T>(act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof NamespaceGoneError) return undefined;
    throw error;
  }
}

function describe(snapshot: PortSnapshot, holders: readonly PortHolder[]): NamespacePorts {
  const { netns, range, tcp, udp, destinations } = snapshot;
  return {
    ...formatNetns(netns.cookie ?? 0n, netns.inum),
    ...(netns.name !== undefined && { name: netns.name }),
    range: { low: range.low, high: range.high, available: range.available },
    in_use: { tcp: tcp.inUse, udp: udp.inUse },
    destinations,
    holders: holders.slice(0, MAX_HOLDERS).map(({ process, cgroup, without, ports }) => ({
      ...(process !== undefined && { process }),
      ...(cgroup !== undefined && { cgroup: { path: cgroup, ...workloadOf(cgroup) } }),
      ...(without !== undefined && { without }),
      ports,
    })),
  };
}
