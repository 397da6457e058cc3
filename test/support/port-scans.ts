import type { TcpSettings } from "../../src/kernel/tcp-settings.ts";
import type { Destination, PortUse } from "../../src/ports/ports.schema.ts";
import type { PortScan } from "../../src/ports/sampler.ts";
import type { PortCounts } from "../../src/ports/snapshot.ts";
import { endpoint, NETNS } from "./findings.ts";

const NOTHING: PortUse = { in_use: 0, bound_without_peer: 0, sockets: 0 };

/** `{ established: 3 }` towards one peer, each socket on a port of its own. */
export function towards(
  peer: string,
  states: Readonly<Record<string, number>>,
  more: Partial<Destination> = {},
): Destination {
  const ports = Object.values(states).reduce((sum, count) => sum + count, 0);
  return { protocol: "tcp", peer: endpoint(peer), ports, states, ...more };
}

export interface ScanOptions {
  readonly available?: number;
  readonly bound?: number;
  readonly tcpSettings?: TcpSettings;
  readonly name?: string;
}

/** A scan of the tests' namespace alone, at so many seconds. */
export function scanAt(
  seconds: number,
  destinations: readonly Destination[],
  options: ScanOptions = {},
): PortScan {
  const snapshots = [portsOf(destinations, options)];
  return { takenAtMs: seconds * 1000, durationMs: 1, snapshots, leftOut: 0 };
}

export function portsOf(
  destinations: readonly Destination[],
  { available = 100, bound = 0, tcpSettings, name = NETNS.name }: ScanOptions = {},
): PortCounts {
  return {
    netns: { inum: NETNS.inum, cookie: BigInt(NETNS.cookie), name, path: "" },
    range: { low: 30_000, high: 30_000 + available - 1, available },
    tcp: { ...NOTHING, bound_without_peer: bound },
    udp: NOTHING,
    destinations,
    conntrack: undefined,
    ...(tcpSettings !== undefined && { tcpSettings }),
  };
}
