import { opendirSync, readFileSync, readlinkSync } from "node:fs";
import { processIds } from "../kernel/processes.ts";
import { yieldToEventLoop } from "../util/yielding.ts";

/** Looking at a process's descriptors costs some microseconds each: other work goes on between. */
const SLICE_MS = 5;

/** A process that holds some of the sockets. */
export interface SocketHolder {
  readonly pid: number;
  readonly comm: string;
  readonly inodes: ReadonlySet<number>;
}

/**
 * Which processes hold these sockets, by the inodes of their files; one may be held by several. Reads
 * the descriptors of all processes, so it is for occasions; the event loop goes on meanwhile.
 */
export async function findHolders(inodes: ReadonlySet<number>): Promise<SocketHolder[]> {
  if (inodes.size === 0) return [];
  const holders: SocketHolder[] = [];
  const slice = new Slice();
  for await (const pids of processIds()) {
    for (const pid of pids) {
      const held = await heldBy(pid, inodes, slice);
      if (held.size > 0) holders.push({ pid: Number(pid), comm: readComm(pid), inodes: held });
    }
  }
  return holders;
}

async function heldBy(
  pid: string,
  inodes: ReadonlySet<number>,
  slice: Slice,
): Promise<ReadonlySet<number>> {
  const held = new Set<number>();
  for (const fd of await descriptors(pid)) {
    const inode = socketInode(`/proc/${pid}/fd/${fd}`);
    if (inodes.has(inode)) held.add(inode);
    await slice.yieldIfOver();
  }
  return held;
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

function readComm(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trimEnd();
  } catch {
    return ""; // it has just ended
  }
}
