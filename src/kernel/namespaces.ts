import {
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  type Stats,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { BpfError, closeFd, openSocket, Posix, setNamespace, socketOption } from "libbpf-ts";
import { errnoOf, reasonOf } from "../util/errno.ts";
import { yieldToEventLoop } from "../util/yielding.ts";
import { processIds } from "./processes.ts";

export interface NetworkNamespace {
  readonly inum: number;
  /** Its identity, never used again. Undefined before 5.14, which does not tell it. */
  readonly cookie: bigint | undefined;
  /** Of ip-netns(8); the first in the alphabet if it has several. */
  readonly name: string | undefined;
  /** A file by which it can be entered, for as long as a process or a mount keeps it there. */
  readonly path: string;
}

export interface FoundNamespaces {
  /** The daemon's own comes first, then those with a name. */
  readonly namespaces: readonly NetworkNamespace[];
  /** How many more there are. */
  readonly leftOut: number;
}

/** The namespace went away, or its path now leads to another one: normal while one looks. */
export class NamespaceGoneError extends Error {
  override readonly name = "NamespaceGoneError";
}

const NAMED = "/run/netns";
/** Of the thread: where the main thread went, /proc/self goes too, but that of a worker does not. */
const OWN = "/proc/thread-self/ns/net";

const MAX_NAMESPACES = 256;
const MAX_INUMS = 65_536;
/** A stat of one takes some 10 microseconds. */
const FILES_PER_TURN = 128;
/** To enter and leave one takes some 100 microseconds. */
const ENTERED_PER_TURN = 16;

/** All network namespaces that a process is in or that have a name; others cannot be found. */
export async function findNamespaces(): Promise<FoundNamespaces> {
  const { namespaces, leftOut } = await listNamespaces();
  const found: NetworkNamespace[] = [];
  for (const [index, namespace] of namespaces.entries()) {
    const known = withCookie(namespace);
    if (known !== undefined) found.push(known);
    if (index % ENTERED_PER_TURN === ENTERED_PER_TURN - 1) await yieldToEventLoop();
  }
  return { namespaces: found, leftOut };
}

/** The same, without their cookies, for whoever will enter them anyway. */
export async function listNamespaces(): Promise<FoundNamespaces> {
  const finder = new Finder();
  finder.note(OWN);
  for (const [index, name] of entries(NAMED).sort().entries()) {
    finder.note(join(NAMED, name), name);
    if (index % FILES_PER_TURN === FILES_PER_TURN - 1) await yieldToEventLoop();
  }
  for await (const pids of processIds()) {
    for (const pid of pids) finder.note(`/proc/${pid}/ns/net`);
  }
  return finder.found();
}

/** Undefined if it has gone. */
function withCookie(namespace: NetworkNamespace): NetworkNamespace | undefined {
  try {
    return { ...namespace, cookie: inNamespace(namespace, ownCookie) };
  } catch (error) {
    // Who wants to enter it will hear why that is refused.
    return error instanceof NamespaceGoneError ? undefined : namespace;
  }
}

/**
 * Calls `act` with the calling thread in another network namespace, then goes back. All within one
 * turn, so that nothing else runs in there; `act` must not be asynchronous. A netlink socket that
 * it opens stays in that namespace, and /proc/sys/net is that namespace's.
 *
 * Should the way back fail, the process ends: all that it does after that would be elsewhere.
 *
 * @throws NamespaceGoneError if it is no longer there.
 */
export function inNamespace<T>(
  namespace: Pick<NetworkNamespace, "inum" | "cookie" | "path">,
  act: () => T,
): T {
  // At home already; moving would take CAP_SYS_ADMIN.
  if (namespace.path === OWN) return act();
  const home = openSync(OWN, "r");
  try {
    const there = openNamespace(namespace);
    try {
      setNamespace(there, Posix.CLONE_NEWNET, "another network namespace");
    } finally {
      closeSync(there);
    }
    try {
      if (!isHere(namespace.cookie)) throw gone(namespace);
      return act();
    } finally {
      goBack(home);
    }
  } finally {
    closeSync(home);
  }
}

/** Before 5.14 an event may tell a cookie that the kernel does not tell here: the inode must do. */
function isHere(cookie: bigint | undefined): boolean {
  return cookie === undefined || (ownCookie() ?? cookie) === cookie;
}

/** Cookie of the namespace that the thread is in; undefined before 5.14 (SO_NETNS_COOKIE). */
export function ownCookie(): bigint | undefined {
  const socket = openSocket(Posix.AF_UNIX, Posix.SOCK_DGRAM);
  try {
    const value = new BigUint64Array(1);
    const bytes = new Uint8Array(value.buffer);
    socketOption(socket, Posix.SOL_SOCKET, Posix.SO_NETNS_COOKIE, bytes);
    return value[0];
  } catch (error) {
    if (error instanceof BpfError && error.code === "ENOPROTOOPT") return undefined;
    throw error;
  } finally {
    closeFd(socket);
  }
}

function goBack(home: number): void {
  try {
    setNamespace(home, Posix.CLONE_NEWNET);
  } catch (error) {
    writeSync(2, `tuplewatch: return to the own network namespace: ${reasonOf(error)}; ending\n`);
    process.exit(1);
  }
}

/** An inode number is used again once its namespace is gone, and a process may change its own. */
function openNamespace(namespace: Pick<NetworkNamespace, "inum" | "path">): number {
  let fd: number;
  try {
    fd = openSync(namespace.path, "r");
  } catch (error) {
    throw isGone(error) ? gone(namespace) : error;
  }
  if (fstatSync(fd).ino === namespace.inum) return fd;
  closeSync(fd);
  throw gone(namespace);
}

function gone({ inum, path }: Pick<NetworkNamespace, "inum" | "path">): NamespaceGoneError {
  return new NamespaceGoneError(`enter network namespace ${inum} at ${path}: it is gone`);
}

function isGone(error: unknown): boolean {
  return ["ENOENT", "ESRCH"].includes(errnoOf(error) ?? "");
}

class Finder {
  readonly #namespaces = new Map<number, NetworkNamespace>();
  readonly #leftOut = new Set<number>();
  /** Device number of the kernel's namespace files. */
  readonly #device = statSync(OWN).dev;

  note(path: string, name?: string): void {
    const inum = this.#inumOf(path);
    if (inum === undefined || this.#leftOut.has(inum)) return;
    const known = this.#namespaces.get(inum);
    if (known !== undefined) {
      this.#namespaces.set(inum, { ...known, name: known.name ?? name });
    } else if (this.#namespaces.size < MAX_NAMESPACES) {
      this.#namespaces.set(inum, { inum, cookie: undefined, name, path });
    } else if (this.#leftOut.size < MAX_INUMS) {
      this.#leftOut.add(inum);
    }
  }

  found(): FoundNamespaces {
    return { namespaces: [...this.#namespaces.values()], leftOut: this.#leftOut.size };
  }

  /** Undefined for what has gone, and for a name whose namespace is no longer mounted there. */
  #inumOf(path: string): number | undefined {
    let stats: Stats;
    try {
      stats = statSync(path);
    } catch {
      return undefined;
    }
    return stats.dev === this.#device ? stats.ino : undefined;
  }
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return []; // nobody has made a named namespace
  }
}
