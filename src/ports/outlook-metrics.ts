import { Gauge, type Registry } from "prom-client";
import { labelsOf, OTHER } from "./labels.ts";
import type { PortScans } from "./sampler.ts";
import type { PortCounts } from "./snapshot.ts";
import type { DestinationOutlook, PortTrends } from "./trend.ts";

/** Destinations of a namespace and protocol, those with the greatest part, that are told. */
const RANKS = 3;

/** How near the end the local ports of each network namespace are; destinations have no names here. */
export function registerOutlookMetrics(
  registry: Registry,
  sampler: PortScans,
  trends: PortTrends,
): void {
  new Gauge({
    name: "tuplewatch_local_ports_destination_ratio",
    help: "Part of the usable local ports that is taken towards one destination: the three greatest, by rank. Ports in TIME_WAIT that a new connection may take over do not count.",
    labelNames: ["netns", "protocol", "rank"],
    registers: [registry],
    async collect() {
      this.reset();
      const latest = await sampler.latest();
      if (latest === undefined) return;
      const outlooks = trends.of(latest);
      for (const [netns, snapshot] of labelsOf(latest).labelled) {
        for (const { protocol, rank, ratio } of ranked(outlooks.get(snapshot) ?? [])) {
          this.set({ netns, protocol, rank }, ratio);
        }
      }
    },
  });
  new Gauge({
    name: "tuplewatch_local_ports_exhausted_in_seconds",
    help: "When at the present rate the first destination of a network namespace has no local port left for TCP; absent if that is not within 10 minutes.",
    labelNames: ["netns"],
    registers: [registry],
    async collect() {
      this.reset();
      const latest = await sampler.latest();
      if (latest === undefined) return;
      const outlooks = trends.of(latest);
      const { labelled, others } = labelsOf(latest);
      const set = (netns: string, snapshots: readonly PortCounts[]) => {
        const inS = soonest(snapshots.flatMap((snapshot) => outlooks.get(snapshot) ?? []));
        if (inS !== undefined) this.set({ netns }, inS);
      };
      for (const [netns, snapshot] of labelled) set(netns, [snapshot]);
      set(OTHER, others);
    },
  });
}

function ranked(outlooks: readonly DestinationOutlook[]) {
  return (["tcp", "udp"] as const).flatMap((protocol) =>
    outlooks
      .filter(({ destination }) => destination.protocol === protocol)
      .slice(0, RANKS)
      .map(({ ratio }, index) => ({ protocol, rank: String(index + 1), ratio })),
  );
}

function soonest(outlooks: readonly DestinationOutlook[]): number | undefined {
  const [first] = outlooks
    .flatMap(({ exhaustedInS }) => exhaustedInS ?? [])
    .sort((one, other) => one - other);
  return first;
}
