import { readProcessPath } from "../names/cgroups.ts";
import { workloadOf } from "../names/workload.ts";
import type { Claim } from "./claims.ts";
import { findHolders } from "./descriptors.ts";
import type { Opener } from "./ledger.ts";
import type { PortHolder } from "./ports.schema.ts";

/** On hybrid hosts all processes are in it, so that it tells nothing: src/names/cgroups.ts. */
const ROOT_CGROUP = 1;

type Without = NonNullable<PortHolder["without"]>;
type NewHolder = Omit<PortHolder, "ports" | "processes">;

/** Ports of one program in one state. */
interface Group {
  readonly holder: NewHolder;
  readonly pids: Set<number>;
  readonly ports: Set<number>;
}

/** A process that holds sockets of which the ledger does not know who opened them. */
export interface SocketOwner {
  readonly holder: NewHolder;
  readonly inodes: ReadonlySet<number>;
}

/** Once for all claims in question: it reads the descriptors of all processes. */
export async function findSocketOwners(claims: readonly Claim[]): Promise<readonly SocketOwner[]> {
  const inodes = claims.filter(needsOwner).map(({ inode }) => inode);
  return (await findHolders(new Set(inodes))).map(({ pid, comm, inodes }) => {
    const path = readProcessPath(pid);
    const cgroup = path === undefined ? {} : { cgroup: { path, ...workloadOf(path) } };
    return { holder: { process: { pid, comm }, ...cgroup }, inodes };
  });
}

/**
 * Who holds the ports that are claimed, most ports first: those who opened them, as far as the ledger
 * knows; of other sockets the processes that have them now.
 */
export function holdersOf(
  claims: readonly Claim[],
  owners: readonly SocketOwner[],
): readonly PortHolder[] {
  const groups = new Map<string, Group>();
  for (const claim of claims) {
    if (claim.opening !== undefined) add(groups, openedBy(claim.opening.opener, claim), claim.port);
    else if (claim.inode === 0) add(groups, { without: claim.state as Without }, claim.port);
  }
  addOwners(groups, claims.filter(needsOwner), owners);
  return [...groups.values()]
    .map(({ holder, pids, ports }) => ({
      ...holder,
      ...(pids.size > 1 && { processes: pids.size }),
      ports: ports.size,
    }))
    .sort((one, other) => other.ports - one.ports);
}

function needsOwner({ opening, inode }: Claim): boolean {
  return opening === undefined && inode !== 0;
}

function openedBy({ pid, comm, uid, cgroupId }: Opener, { state }: Claim): NewHolder {
  return {
    process: { pid, comm, uid },
    ...(cgroupId > ROOT_CGROUP && { cgroup: { id: String(cgroupId) } }),
    ...(state !== "open" && { without: state }),
  };
}

/** One group for each program: its user and cgroup are part of what it is, the process is not. */
function add(groups: Map<string, Group>, holder: NewHolder, port: number): void {
  const { process, cgroup, without } = holder;
  const id = JSON.stringify([process?.comm, process?.uid, cgroup?.id ?? cgroup?.path, without]);
  const group = groups.get(id) ?? { holder, pids: new Set<number>(), ports: new Set<number>() };
  groups.set(id, group);
  if (process !== undefined) group.pids.add(process.pid);
  group.ports.add(port);
}

function addOwners(
  groups: Map<string, Group>,
  claims: readonly Claim[],
  owners: readonly SocketOwner[],
): void {
  const ports = new Map<number, Set<number>>();
  for (const { inode, port } of claims) ports.set(inode, (ports.get(inode) ?? new Set()).add(port));
  const left = new Set(ports.keys());
  for (const { holder, inodes } of owners) {
    for (const inode of inodes) {
      left.delete(inode);
      for (const port of ports.get(inode) ?? []) add(groups, holder, port);
    }
  }
  for (const inode of left) {
    for (const port of ports.get(inode) ?? []) add(groups, { without: "unknown" }, port);
  }
}
