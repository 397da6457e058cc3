import { closeFd } from "libbpf-ts";
import { formatNetns } from "../events/fields.ts";
import {
  findNamespaces,
  inNamespace,
  NamespaceGoneError,
  type NetworkNamespace,
} from "../kernel/namespaces.ts";
import { openSockDiag } from "../kernel/sock-diag.ts";
import { reasonOf } from "../util/errno.ts";
import { yieldToEventLoop } from "../util/yielding.ts";
import { type Claim, collectClaims } from "./claims.ts";
import { findSocketOwners, holdersOf } from "./holders.ts";
import type { PortLedger } from "./ledger.ts";
import type { PortHolder } from "./ports.schema.ts";
import type { NamespacePorts, PortReport, UnreadableNamespace } from "./report.schema.ts";
import { type PortSnapshot, retryInterrupted, takePortSnapshot } from "./snapshot.ts";

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
export async function portReport(query: PortReportQuery, ledger: PortLedger): Promise<PortReport> {
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
    const find = async () => reportOf(snapshot, await findPortHolders(snapshot, query, ledger));
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

/** Lists the sockets anew: what has changed since the snapshot shows. @throws NamespaceGoneError */
export async function findPortHolders(
  { netns, range }: Pick<PortSnapshot, "netns" | "range">,
  { protocol }: Pick<PortReportQuery, "protocol">,
  ledger: PortLedger,
): Promise<readonly PortHolder[]> {
  const diag = inNamespace(netns, openSockDiag);
  try {
    const claims: Claim[] = [];
    for (const one of protocol === undefined ? BOTH : [protocol]) {
      const openings = ledger.openings(netns, one);
      const query = { protocol: one, ports: range, openings };
      const found = await retryInterrupted(() => collectClaims(diag, query));
      // A port of UDP is another one than that of TCP.
      claims.push(...(one === "tcp" ? found : found.map(apart)));
    }
    return holdersOf(claims, await findSocketOwners(claims));
  } finally {
    closeFd(diag);
  }
}

const BOTH = ["tcp", "udp"] as const;
const PORTS = 65_536;

function apart(claim: Claim): Claim {
  return { ...claim, port: claim.port + PORTS };
}

function inUse({ tcp, udp }: PortSnapshot): number {
  return tcp.in_use + udp.in_use;
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
