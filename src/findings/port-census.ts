import { holdersOf } from "../enrich/port-holders.ts";
import { findNamespaces, NamespaceGoneError, type NetworkNamespace } from "../kernel/namespaces.ts";
import { takePortSnapshot } from "../kernel/ports.ts";
import type { CensusAnswer, CensusQuestion, PortCensus } from "./detector.ts";

/** Those with most ports: more processes than that do not fill a range together. */
const MAX_HOLDERS = 256;

/** Counts ports by the kernel's list of sockets; holders by the descriptors of all processes. */
export const portCensus: PortCensus = {
  async ask(question) {
    for (const place of await places(question)) {
      try {
        return await count(place, question);
      } catch (error) {
        if (!(error instanceof NamespaceGoneError)) throw error;
      }
    }
    return undefined;
  },
};

/** Ways into the namespace, the cheapest first: a process may have ended or gone elsewhere. */
async function places({ netns, pid }: CensusQuestion): Promise<NetworkNamespace[]> {
  const { inum, name } = netns;
  if (inum === undefined) return [];
  const cookie = netns.cookie === undefined ? undefined : BigInt(netns.cookie);
  const paths = [
    ...(pid === undefined ? [] : [`/proc/${pid}/ns/net`]),
    ...(name === undefined ? [] : [`/run/netns/${name}`]),
  ];
  const near = paths.map((path) => ({ inum, cookie, name, path }));
  if (name !== undefined) return near;
  const { namespaces } = await findNamespaces();
  return [...near, ...namespaces.filter((found) => found.inum === inum)];
}

async function count(
  netns: NetworkNamespace,
  { protocol, peer, holdersFrom }: CensusQuestion,
): Promise<CensusAnswer> {
  const snapshot = await takePortSnapshot(netns);
  const { range } = snapshot;
  const { inUse } = snapshot[protocol];
  const wanted = inUse >= holdersFrom * range.available;
  const query = { protocol, ...(peer !== undefined && { peer }) };
  const holders = wanted ? await holdersOf(snapshot, query) : [];
  return {
    range: { low: range.low, high: range.high, available: range.available },
    inUse,
    holders: holders.slice(0, MAX_HOLDERS).map(({ process, cgroup, without, ports }) => ({
      ...(process !== undefined && { process }),
      ...(cgroup !== undefined && { cgroup: { path: cgroup } }),
      ...(without !== undefined && { without }),
      ports,
    })),
  };
}
