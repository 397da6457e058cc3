import { formatNetns } from "../events/fields.ts";
import { MS_PER_SECOND } from "../util/units.ts";
import type { PortScans } from "./sampler.ts";
import type { PortCounts } from "./snapshot.ts";
import type { NamespaceStatusJson } from "./status.schema.ts";

/** Part of the body of /status; JSON-ready. */
export async function namespaceStatus(sampler: PortScans): Promise<NamespaceStatusJson> {
  const latest = await sampler.latest();
  return {
    namespace_census: {
      age_seconds: sampler.ageMs === undefined ? null : sampler.ageMs / MS_PER_SECOND,
      duration_seconds: latest === undefined ? null : latest.durationMs / MS_PER_SECOND,
      failures: sampler.failures,
      left_out: latest?.leftOut ?? 0,
    },
    network_namespaces: latest?.snapshots.map(statusOf) ?? [],
  };
}

type Namespace = NamespaceStatusJson["network_namespaces"][number];

function statusOf(snapshot: PortCounts): Namespace {
  const { netns, range, tcp, udp, destinations, conntrack } = snapshot;
  return {
    ...formatNetns(netns.cookie ?? 0n, netns.inum),
    ...(netns.name !== undefined && { name: netns.name }),
    local_ports: {
      low: range.low,
      high: range.high,
      available: range.available,
      tcp,
      udp,
      top_destinations: destinations,
    },
    ...(conntrack !== undefined && { conntrack }),
  };
}
