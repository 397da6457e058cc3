import type { PortScan } from "./sampler.ts";
import type { PortCounts } from "./snapshot.ts";

/** Stands for all namespaces without a label of their own. */
export const OTHER = "other";

const MAX_LABELS = 32;

/** Namespaces under the label that metrics give them. */
export interface LabelledNamespaces {
  /** Most use first. */
  readonly labelled: ReadonlyMap<string, PortCounts>;
  /** Those that are summed into OTHER. */
  readonly others: readonly PortCounts[];
}

const known = new WeakMap<PortScan, LabelledNamespaces>();

/** Each metric asks, of the same scan. */
export function labelsOf(scan: PortScan): LabelledNamespaces {
  const labels = known.get(scan) ?? labelNamespaces(scan.snapshots);
  known.set(scan, labels);
  return labels;
}

/**
 * Gives a label to the namespaces with most ports in use: the name that ip-netns(8) knows it by,
 * else the cookie; where the kernel tells none, the inode number.
 */
export function labelNamespaces(snapshots: readonly PortCounts[]): LabelledNamespaces {
  const labelled = new Map<string, PortCounts>();
  const others: PortCounts[] = [];
  for (const snapshot of [...snapshots].sort((one, other) => use(other) - use(one))) {
    const label = labelOf(snapshot, (taken) => labelled.has(taken) || taken === OTHER);
    if (label === undefined || labelled.size === MAX_LABELS) others.push(snapshot);
    else labelled.set(label, snapshot);
  }
  return { labelled, others };
}

/** A namespace may be called like another one's cookie, or "other". */
function labelOf({ netns }: PortCounts, isTaken: (label: string) => boolean): string | undefined {
  const { name, cookie, inum } = netns;
  const candidates = [name, String(cookie ?? inum)];
  return candidates.find((label) => label !== undefined && !isTaken(label));
}

function use({ tcp, udp, conntrack }: PortCounts): number {
  return tcp.in_use + udp.in_use + (conntrack?.entries ?? 0);
}
