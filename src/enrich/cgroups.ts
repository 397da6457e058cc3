import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { LruMap } from "./lru.ts";

const MAX_PATHS = 8192;
const MAX_PROCESSES = 4096;

/** A process id may be used again; on hybrid hosts its path is believed for this long. */
const PROCESS_TTL_MS = 5000;

/** An id that was not found is not looked for again before this. */
const RESCAN_MS = 1000;

/** The root of a cgroup2 tree; on hybrid hosts every process is in it. */
const ROOT_ID = 1;

interface ProcessPath {
  readonly path: string | undefined;
  readonly expiresAtMs: number;
}

/**
 * Names cgroups by the path below the hierarchy's root, as in /proc/PID/cgroup. Where the v2
 * hierarchy is in use its ids are inode numbers of the directories; on hybrid hosts all ids are
 * that of the root, and the process tells its path in systemd's own hierarchy.
 */
export class Cgroups {
  readonly #mount: string | undefined;
  readonly #paths = new LruMap<number, string>(MAX_PATHS);
  readonly #processes = new LruMap<number, ProcessPath>(MAX_PROCESSES);
  #scannedAtMs = Number.NEGATIVE_INFINITY;

  /** `mount`: where cgroup2 is mounted, if it is. */
  constructor(mount: string | undefined) {
    this.#mount = mount;
  }

  /** Undefined when both the cgroup and the process are gone, or never could be named. */
  path(id: number, pid: number): string | undefined {
    if (id !== ROOT_ID) return this.#pathOfId(id);
    return (pid === 0 ? undefined : this.#pathOfProcess(pid)) ?? "/";
  }

  #pathOfId(id: number): string | undefined {
    const known = this.#paths.get(id);
    if (known !== undefined || id === 0 || this.#mount === undefined) return known;
    const nowMs = performance.now();
    if (nowMs - this.#scannedAtMs < RESCAN_MS) return undefined;
    this.#scannedAtMs = nowMs;
    this.#scan(this.#mount, "/", MAX_PATHS);
    return this.#paths.get(id);
  }

  /** Depth first, at most `budget` directories; what is left is returned. */
  #scan(directory: string, path: string, budget: number): number {
    let left = budget - 1;
    try {
      this.#paths.set(statSync(directory).ino, path);
      for (const entry of readdirSync(directory, { withFileTypes: true })) {
        if (left <= 0) break;
        if (!entry.isDirectory()) continue;
        left = this.#scan(join(directory, entry.name), join(path, entry.name), left);
      }
    } catch {
      // removed while being read: the next scan will not find it either
    }
    return left;
  }

  #pathOfProcess(pid: number): string | undefined {
    const nowMs = performance.now();
    const known = this.#processes.get(pid);
    if (known !== undefined && known.expiresAtMs > nowMs) return known.path;
    const path = readProcessPath(pid);
    this.#processes.set(pid, { path, expiresAtMs: nowMs + PROCESS_TTL_MS });
    return path;
  }
}

/** The path of a process's cgroup; undefined if it has ended. */
export function readProcessPath(pid: number): string | undefined {
  try {
    return parseProcCgroup(readFileSync(`/proc/${pid}/cgroup`, "utf8"));
  } catch {
    return undefined; // the process is gone
  }
}

/**
 * The most telling path of /proc/PID/cgroup: of the v2 hierarchy ("0::"), else of systemd's own,
 * else the longest of the v1 controllers'.
 */
export function parseProcCgroup(text: string): string | undefined {
  const paths = text
    .trim()
    .split("\n")
    .map((line) => /^\d+:([^:]*):(\/.*)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, controllers = "", path = ""]) => ({ controllers, path }));
  const named = (name: string) =>
    paths.find(({ controllers, path }) => controllers === name && path !== "/")?.path;
  const longest = paths.reduce((best, { path }) => (path.length > best.length ? path : best), "");
  return named("") ?? named("name=systemd") ?? (longest || undefined);
}
