import type { CensusTaker } from "../kernel/census.ts";
import type { PortSnapshot } from "../kernel/ports.ts";
import { formatNetns } from "../probes/fields.ts";
import type { NamespaceStatusJson } from "./namespace-status.schema.ts";

const MS_PER_SECOND = 1000;

/** Part of the body of /status; JSON-ready. */
export async function namespaceStatus(census: CensusTaker): Promise<NamespaceStatusJson> {
  const latest = await census.latest();
  return {
    namespace_census: {
      age_seconds: census.ageMs === undefined ? null : census.ageMs / MS_PER_SECOND,
      duration_seconds: latest === undefined ? null : latest.durationMs / MS_PER_SECOND,
      failures: census.failures,
      left_out: latest?.leftOut ?? 0,
    },
    network_namespaces: latest?.snapshots.map(describe) ?? [],
  };
}

type Namespace = NamespaceStatusJson["network_namespaces"][number];

function describe(snapshot: PortSnapshot): Namespace {
  const { netns, range, tcp, udp, destinations, conntrack } = snapshot;
  return {
    ...formatNetns(netns.cookie ?? 0n, netns.inum),
    ...(netns.name !== undefined && { name: netns.name }),
    local_ports: {
      low: range.low,
      high: range.high,
      available: range.available,
      tcp: describeUse(tcp),
      udp: describeUse(udp),
      top_destinations: destinations,
    },
    ...(conntrack !== undefined && { conntrack }),
  };
}

function describeUse(use: PortSnapshot["tcp"]): Namespace["local_ports"]["tcp"] {
  const { inUse, boundWithoutPeer, sockets } = use;
  return { in_use: inUse, bound_without_peer: boundWithoutPeer, sockets };
}
