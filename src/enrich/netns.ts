import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { LruMap } from "./lru.ts";

/** Of ip-netns(8), which also CNI plugins use, and of Docker; the former's names are better known. */
const DIRECTORIES = ["/run/docker/netns", "/run/netns"];
/** Names are believed for this long; an unknown number is looked for sooner. */
const REFRESH_MS = 1000;
const RETRY_MS = 50;
const MAX_NAMES = 4096;

/** As container tools show it. */
const SHORT_ID_DIGITS = 12;

/** Who is in a namespace, according to an event. */
export interface Member {
  readonly pid: number;
  readonly container?: string | undefined;
}

/**
 * Names of network namespaces, by inode number: that of a file which keeps the namespace, else the
 * short id of a container that is in it.
 */
export class NetnsNames {
  readonly #directories: readonly string[];
  readonly #containers = new LruMap<number, string>(MAX_NAMES);
  readonly #own = readInum("self");
  #names = new Map<number, string>();
  #readAtMs = Number.NEGATIVE_INFINITY;

  constructor(directories: readonly string[] = DIRECTORIES) {
    this.#directories = directories;
  }

  /**
   * A hint for readers, never an identity: an inode number is used again once its namespace is
   * gone.
   */
  name(inum: number, member?: Member): string | undefined {
    const nowMs = performance.now();
    if (nowMs - this.#readAtMs >= (this.#names.has(inum) ? REFRESH_MS : RETRY_MS)) {
      this.#readAtMs = nowMs;
      this.#names = new Map(this.#directories.flatMap(readNames));
    }
    return this.#names.get(inum) ?? this.#containerIn(inum, member);
  }

  /** The process is asked whether it is there: it may be the far end of a flow seen elsewhere. */
  #containerIn(inum: number, member: Member | undefined): string | undefined {
    const container = member?.container?.slice(0, SHORT_ID_DIGITS);
    if (member === undefined || container === undefined || inum === this.#own) {
      return this.#containers.get(inum);
    }
    if (this.#containers.get(inum) !== container && readInum(member.pid) === inum) {
      this.#containers.set(inum, container);
    }
    return this.#containers.get(inum);
  }
}

function readInum(pid: number | "self"): number | undefined {
  try {
    return statSync(`/proc/${pid}/ns/net`).ino;
  } catch {
    return undefined; // the process is gone
  }
}

function readNames(directory: string): [inum: number, name: string][] {
  const names: [number, string][] = [];
  try {
    for (const name of readdirSync(directory).slice(0, MAX_NAMES)) {
      names.push([statSync(join(directory, name)).ino, name]);
    }
  } catch {
    // nobody has made a named namespace, or one went away meanwhile
  }
  return names;
}
