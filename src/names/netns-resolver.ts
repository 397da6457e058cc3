import { closeSync, constants, openSync, readFileSync, statSync } from "node:fs";
import { inNamespace, NamespaceGoneError, ownCookie } from "../kernel/namespaces.ts";
import { parseProcCgroup } from "./cgroups.ts";
import { type NetnsFile, NetnsFiles } from "./netns-files.ts";
import { workloadOf } from "./workload.ts";

/** A network namespace as an event has it, in numbers. */
export interface NetnsQuestion {
  /** Undefined where the kernel gave it none. */
  readonly cookie: number | undefined;
  readonly inum: number;
  /** A process that may be in it; 0: none is known. */
  readonly pid: number;
}

/** A name, and what it rests on. */
export interface NetnsAnswer {
  readonly name: string;
  /** Absent: it is the short id of a container whose namespace it is. */
  readonly file?: NetnsFile;
  /** False: the inode number had to do, which is used again once the namespace is gone. */
  readonly isProven: boolean;
}

/** The part of naming that needs rights: everything else only remembers what it said. */
export interface NetnsResolver {
  /**
   * What has the name was, at this moment, that namespace. Costs some twenty system calls.
   *
   * @throws Error if looking is refused.
   */
  resolve(question: NetnsQuestion): NetnsAnswer | undefined;
  /**
   * Whether an answer still is the best one: mostly one stat.
   *
   * @throws Error if looking is refused.
   */
  confirm(question: NetnsQuestion, answer: NetnsAnswer): boolean;
}

/** As container tools show it. */
const SHORT_ID_DIGITS = 12;

/** A name that is told may be replaced by a better known one after this long. */
const BETTER_NAME_MS = 3000;

/**
 * A namespace's inode this old was not made after an event that waits in a ring: what its number
 * meant then it still means.
 */
const SETTLED_MS = 2000;

const MAX_ANCESTORS = 32;

/** Looks into files and processes of this machine. */
export class LocalNetnsResolver implements NetnsResolver {
  readonly #files: NetnsFiles;
  readonly #ownInum = statSync("/proc/self/ns/net").ino;
  /** From 5.14 on. */
  readonly #hasCookies = ownCookie() !== undefined;

  constructor(files = new NetnsFiles()) {
    this.#files = files;
  }

  resolve(question: NetnsQuestion): NetnsAnswer | undefined {
    const isProven = this.#hasCookies && question.cookie !== undefined;
    const file = this.#fileOf(question, isProven);
    if (file !== undefined) return { name: file.name, file, isProven };
    const name = this.#containerOf(question);
    return name === undefined ? undefined : { name, isProven };
  }

  confirm({ inum }: NetnsQuestion, { file }: NetnsAnswer): boolean {
    const best = this.#files.find(inum, BETTER_NAME_MS);
    if (file === undefined) return best === undefined;
    if (best !== undefined && best.path !== file.path) return false;
    const now = this.#files.look(file.name, file.path);
    return now?.inum === file.inum && now.inodeMadeAtMs === file.inodeMadeAtMs;
  }

  #fileOf(question: NetnsQuestion, isProven: boolean): NetnsFile | undefined {
    const listed = this.#files.find(question.inum);
    const file = listed && this.#files.look(listed.name, listed.path);
    if (file?.inum !== question.inum) return undefined;
    if (!isProven) return Date.now() - file.inodeMadeAtMs >= SETTLED_MS ? file : undefined;
    return isAt(question, file.path) ? file : undefined;
  }

  /**
   * Of the container that the process is in, provided that its namespace is the container's: a
   * process may visit another one, or make one of its own. The daemon's own is no container's.
   */
  #containerOf(question: NetnsQuestion): string | undefined {
    const { pid, inum } = question;
    if (pid === 0 || inum === this.#ownInum) return undefined;
    return withProcess(pid, (directory) => {
      const container = containerAt(directory);
      if (container === undefined || !isAt(question, `${directory}/ns/net`)) return undefined;
      const first = firstInContainer(pid, directory, container);
      if (first === undefined || inumAt(first) !== inum) return undefined;
      return container.slice(0, SHORT_ID_DIGITS);
    });
  }
}

/** Enters it to see, since only the cookie tells a namespace from a later one. */
function isAt({ cookie, inum }: NetnsQuestion, path: string): boolean {
  try {
    const known = cookie === undefined ? undefined : BigInt(cookie);
    return inNamespace({ inum, cookie: known, path }, () => true);
  } catch (error) {
    if (error instanceof NamespaceGoneError) return false;
    throw error;
  }
}

/** An open /proc/PID stays that process's: once it has ended, nothing is found in there. */
function withProcess<T>(pid: number, act: (directory: string) => T): T | undefined {
  let fd: number;
  try {
    fd = openSync(`/proc/${pid}`, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch {
    return undefined; // it has ended
  }
  try {
    return act(`/proc/self/fd/${fd}`);
  } finally {
    closeSync(fd);
  }
}

/** The process's farthest ancestor in the same container; undefined when there are too many. */
function firstInContainer(pid: number, directory: string, container: string): string | undefined {
  let first = { pid, directory };
  for (let left = MAX_ANCESTORS; left > 0; left--) {
    const parent = parentOf(first.directory);
    const parentDirectory = `/proc/${parent}`;
    if (!parent || containerAt(parentDirectory) !== container) return first.directory;
    first = { pid: parent, directory: parentDirectory };
  }
  return undefined;
}

function containerAt(directory: string): string | undefined {
  const path = parseProcCgroup(read(`${directory}/cgroup`));
  return path === undefined ? undefined : workloadOf(path).container;
}

/** proc_pid_stat(5): the parent is the second field after the name, which may have any character. */
function parentOf(directory: string): number | undefined {
  const stat = read(`${directory}/stat`);
  const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  return Number.isInteger(parent) ? parent : undefined;
}

function inumAt(directory: string): number | undefined {
  try {
    return statSync(`${directory}/ns/net`).ino;
  } catch {
    return undefined; // it has ended
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // it has ended
  }
}
