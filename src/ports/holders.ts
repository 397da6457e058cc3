import { opendirSync, readFileSync, readlinkSync } from "node:fs";
import { closeFd } from "libbpf-ts";
import { TCP_STATE_NAMES } from "../events/fields.ts";
import { inNamespace } from "../kernel/namespaces.ts";
import { processIds } from "../kernel/processes.ts";
import {
  type DiagRecord,
  LISTEN,
  listSockets,
  NOT_LISTEN,
  openSockDiag,
  type SocketAddress,
  type SocketProtocol,
} from "../kernel/sock-diag.ts";
import { readProcessPath } from "../names/cgroups.ts";
import { workloadOf } from "../names/workload.ts";
import { yieldToEventLoop } from "../util/yielding.ts";
import { eachFamily } from "./count.ts";
import type { PortHolder } from "./ports.schema.ts";
import type { PortRange } from "./range.ts";
import { type PortSnapshot, retryInterrupted } from "./snapshot.ts";

/** Which ports; all of the namespace's range by default. */
export interface HolderQuery {
  readonly protocol?: SocketProtocol;
  /** Only ports that are in use towards this peer. */
  readonly peer?: SocketAddress;
}

const TIME_WAIT = "time_wait";
const MAX_SOCKETS = 262_144;
/** Looking at a process's descriptors costs some microseconds each: other work goes on between. */
const SLICE_MS = 5;

/** Sockets by the inode of their file: the ports that each holds. */
type Inodes = Map<number, Set<string>>;

/**
 * Who holds the ports that a snapshot counted, most ports first. Lists the sockets anew: what has
 * changed since the snapshot shows. Reads the descriptors of all processes, so it is for occasions,
 * not for every scrape; the event loop goes on meanwhile.
 *
 * @throws NamespaceGoneError if the namespace is no longer there, as takePortSnapshot does.
 */
export async function holdersOf(
  { netns, range }: Pick<PortSnapshot, "netns" | "range">,
  query: HolderQuery = {},
): Promise<PortHolder[]> {
  const diag = inNamespace(netns, openSockDiag);
  try {
    const held = await retryInterrupted(() => listHeld(diag, query, range));
    const holders = await findProcesses(held.inodes);
    const without = [...held.without].map(([why, ports]) => nobody(why, ports));
    if (held.inodes.size > 0) without.push(nobody("unknown", union(held.inodes.values())));
    return [...holders, ...without].sort((one, other) => other.ports - one.ports);
  } finally {
    closeFd(diag);
  }
}

interface Held {
  readonly inodes: Inodes;
  readonly without: Map<"time_wait" | "orphaned", Set<string>>;
}

async function listHeld(
  diag: number,
  { protocol, peer }: HolderQuery,
  range: PortRange,
): Promise<Held> {
  const inodes: Inodes = new Map();
  const without: Held["without"] = new Map();
  let left = MAX_SOCKETS;
  for (const one of ["tcp", "udp"] as const) {
    if (protocol !== undefined && protocol !== one) continue;
    const visit = (socket: DiagRecord) => {
      if (!range.has(socket.localPort) || !isTowards(socket, peer) || left-- <= 0) return;
      const port = `${one} ${socket.localPort}`;
      if (socket.inode !== 0) add(inodes, socket.inode, port);
      else add(without, isTimeWait(socket) ? TIME_WAIT : "orphaned", port);
    };
    const wanted = { states: NOT_LISTEN | LISTEN, ports: range };
    if (one === "tcp") await listSockets(diag, { protocol: one, ...wanted }, visit);
    else {
      await eachFamily((family) => listSockets(diag, { protocol: one, family, ...wanted }, visit));
    }
  }
  return { inodes, without };
}

function isTowards(socket: DiagRecord, peer: SocketAddress | undefined): boolean {
  if (peer === undefined) return true;
  return socket.peerPort === peer.port && socket.peer().address === peer.address;
}

function isTimeWait({ state }: DiagRecord): boolean {
  return TCP_STATE_NAMES[state] === TIME_WAIT;
}

/** Takes the sockets whose process it finds out of `inodes`. */
async function findProcesses(inodes: Inodes): Promise<PortHolder[]> {
  if (inodes.size === 0) return [];
  const holders: PortHolder[] = [];
  const found = new Set<number>();
  const slice = new Slice();
  for await (const pids of processIds()) {
    for (const pid of pids) {
      const ports = await portsOf(pid, inodes, found, slice);
      if (ports.size > 0) holders.push(holder(Number(pid), ports.size));
    }
  }
  for (const inode of found) inodes.delete(inode);
  return holders;
}

async function portsOf(
  pid: string,
  inodes: Inodes,
  found: Set<number>,
  slice: Slice,
): Promise<ReadonlySet<string>> {
  const ports = new Set<string>();
  for (const fd of await descriptors(pid)) {
    const inode = socketInode(`/proc/${pid}/fd/${fd}`);
    for (const port of inodes.get(inode) ?? []) ports.add(port);
    if (inodes.has(inode)) found.add(inode);
    await slice.yieldIfOver();
  }
  return ports;
}

/** Lets the event loop go on when it has worked for long. */
class Slice {
  #endMs = performance.now() + SLICE_MS;

  async yieldIfOver(): Promise<void> {
    if (performance.now() < this.#endMs) return;
    await yieldToEventLoop();
    this.#endMs = performance.now() + SLICE_MS;
  }
}

function holder(pid: number, ports: number): PortHolder {
  const path = readProcessPath(pid);
  return {
    process: { pid, comm: readComm(pid) },
    ...(path !== undefined && { cgroup: { path, ...workloadOf(path) } }),
    ports,
  };
}

function nobody(without: NonNullable<PortHolder["without"]>, ports: Set<string>): PortHolder {
  return { without, ports: ports.size };
}

/**
 * None for a process that has ended. The kernel takes some microseconds for each, so that one with
 * 20,000 would hold up the event loop. Only this thread has the right to open the directory.
 */
async function descriptors(pid: string): Promise<string[]> {
  try {
    const names: string[] = [];
    for await (const { name } of opendirSync(`/proc/${pid}/fd`, { bufferSize: 1024 })) {
      names.push(name);
    }
    return names;
  } catch {
    return [];
  }
}

/** 0 for what is no socket, or was closed meanwhile. */
function socketInode(path: string): number {
  try {
    return Number(/^socket:\[(\d+)\]$/.exec(readlinkSync(path))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

function readComm(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trimEnd();
  } catch {
    return ""; // it has just ended
  }
}

function add<K>(ports: Map<K, Set<string>>, key: K, port: string): void {
  const known = ports.get(key);
  if (known === undefined) ports.set(key, new Set([port]));
  else known.add(port);
}

function union(sets: Iterable<Set<string>>): Set<string> {
  return new Set([...sets].flatMap((ports) => [...ports]));
}
