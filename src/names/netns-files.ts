import { readdirSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";

/** Of ip-netns(8), which also CNI plugins use, and of Docker; the former's names are better known. */
const DIRECTORIES = ["/run/netns", "/run/docker/netns"];

const MAX_FILES = 4096;

/**
 * The directories are read anew after this long, or sooner when what is not found may be in one that
 * has changed, and for at most this part of the time.
 */
const SCAN_MS = 1000;
const MAX_SCAN_RATIO = 0.01;

/** A file that is a network namespace, at the moment when it was looked at. */
export interface NetnsFile {
  readonly name: string;
  readonly path: string;
  readonly inum: number;
  /**
   * When the kernel made the inode. A mount keeps it, so the same number and time are the same
   * namespace (__ns_get_path() in fs/nsfs.c, from 6.9 on path_from_stashed() in fs/libfs.c).
   */
  readonly inodeMadeAtMs: number;
}

/** Files by which network namespaces are kept and named. */
export class NetnsFiles {
  readonly #directories: readonly string[];
  /** Device number of the kernel's namespace files. */
  readonly #device = statSync("/proc/self/ns/net").dev;
  #files = new Map<number, NetnsFile>();
  #scannedAtMs = Number.NEGATIVE_INFINITY;
  #pauseMs = 0;
  /** When the directories had last changed, as the last scan saw it. */
  #changes = "";

  constructor(directories: readonly string[] = DIRECTORIES) {
    this.#directories = directories;
  }

  /** A file that had this inode number when the directories were last read, `maxAgeMs` ago or less. */
  find(inum: number, maxAgeMs = SCAN_MS): NetnsFile | undefined {
    const ageMs = performance.now() - this.#scannedAtMs;
    if (ageMs < this.#pauseMs) return this.#files.get(inum);
    if (ageMs >= maxAgeMs || (!this.#files.has(inum) && this.#changesNow() !== this.#changes)) {
      this.#scan();
    }
    return this.#files.get(inum);
  }

  #changesNow(): string {
    const times = this.#directories.map(
      (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs,
    );
    return times.join(" ");
  }

  /** Undefined when there is no namespace at `path` (any more): a link may lead nowhere. */
  look(name: string, path: string): NetnsFile | undefined {
    let stats: Stats;
    try {
      stats = statSync(path);
    } catch {
      return undefined;
    }
    if (stats.dev !== this.#device) return undefined;
    return { name, path, inum: stats.ino, inodeMadeAtMs: stats.ctimeMs };
  }

  /** The first in the alphabet, should a namespace have several names. */
  #scan(): void {
    const begunAtMs = performance.now();
    this.#changes = this.#changesNow();
    this.#files = new Map();
    for (const directory of this.#directories) {
      for (const name of entries(directory).sort().slice(0, MAX_FILES)) {
        const file = this.look(name, join(directory, name));
        if (file !== undefined && !this.#files.has(file.inum)) this.#files.set(file.inum, file);
      }
    }
    this.#scannedAtMs = performance.now();
    this.#pauseMs = (this.#scannedAtMs - begunAtMs) / MAX_SCAN_RATIO;
  }
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return []; // nobody has made a named namespace
  }
}
