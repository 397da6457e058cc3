import { readProcessPath } from "../names/cgroups.ts";
import { workloadOf } from "../names/workload.ts";
import type { Claim } from "./claims.ts";
import { findHolders } from "./descriptors.ts";
import type { Opener } from "./ledger.ts";
import type { PortHolder } from "./ports.schema.ts";

/** On hybrid hosts all processes are in it, so that it tells nothing: src/names/cgroups.ts. */
const ROOT_CGROUP = 1;

type Without = NonNullable<PortHolder["without"]>;

/** Ports of one program in one state. */
interface Group {
  readonly holder: Omit<PortHolder, "ports" | "processes">;
  readonly pids: Set<number>;
  readonly ports: Set<number>;
}

/**
 * Who holds the ports that are claimed, most ports first: those who opened them, as far as the ledger
 * knows; of other sockets the processes that have them now.
 */
export async function holdersOf(claims: readonly Claim[]): Promise<PortHolder[]> {
  const groups = new Map<string, Group>();
  const unknown: Claim[] = [];
  for (const claim of claims) {
    if (claim.opening !== undefined) add(groups, openedBy(claim.opening.opener, claim), claim.port);
    else if (claim.inode === 0) add(groups, { without: claim.state as Without }, claim.port);
    else unknown.push(claim);
  }
  await addProcesses(groups, unknown);
  return [...groups.values()]
    .map(({ holder, pids, ports }) => ({
      ...holder,
      ...(pids.size > 1 && { processes: pids.size }),
      ports: ports.size,
    }))
    .sort((one, other) => other.ports - one.ports);
}

type NewHolder = Group["holder"];

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

async function addProcesses(groups: Map<string, Group>, claims: readonly Claim[]): Promise<void> {
  const ports = new Map<number, Set<number>>();
  for (const { inode, port } of claims) ports.set(inode, (ports.get(inode) ?? new Set()).add(port));
  const left = new Set(ports.keys());
  for (const { pid, comm, inodes } of await findHolders(new Set(ports.keys()))) {
    const path = readProcessPath(pid);
    const cgroup = path === undefined ? {} : { cgroup: { path, ...workloadOf(path) } };
    for (const inode of inodes) {
      left.delete(inode);
      for (const port of ports.get(inode) ?? [])
        add(groups, { process: { pid, comm }, ...cgroup }, port);
    }
  }
  for (const inode of left) {
    for (const port of ports.get(inode) ?? []) add(groups, { without: "unknown" }, port);
  }
}
