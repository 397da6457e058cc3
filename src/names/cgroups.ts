import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { LruMap } from "../util/lru.ts";
import { type Workload, workloadOf } from "./workload.ts";

const MAX_PATHS = 8192;
const MAX_PROCESSES = 4096;

/** A process id may be used again; on hybrid hosts its path is believed for this long. */
const PROCESS_TTL_MS = 5000;

/** An id that was not found is not looked for again before this. */
const RESCAN_MS = 1000;

/** The root of a cgroup2 tree; on hybrid hosts every process is in it. */
const ROOT_ID = 1;

/** Path below the hierarchy's root, as in /proc/PID/cgroup, and what it tells. */
export interface CgroupName extends Workload {
  readonly path: string;
}

/** Paths of cgroups that may be gone already, by id; undefined for those it does not know. */
export type PathSource = (id: number) => string | undefined;

interface ProcessName {
  readonly name: CgroupName | undefined;
  readonly expiresAtMs: number;
}

/**
 * Names cgroups. Where the v2 hierarchy is in use its ids are inode numbers of the directories; on
 * hybrid hosts all ids are that of the root, and the process tells its path in another hierarchy.
 */
export class Cgroups {
  readonly #mount: string | undefined;
  readonly #source: PathSource;
  readonly #names = new LruMap<number, CgroupName>(MAX_PATHS);
  readonly #processes = new LruMap<number, ProcessName>(MAX_PROCESSES);
  #scannedAtMs = Number.NEGATIVE_INFINITY;

  /** `mount`: where cgroup2 is mounted, if it is. What is there now is read at once. */
  constructor(mount: string | undefined, source: PathSource = () => undefined) {
    this.#mount = mount;
    this.#source = source;
    this.#scan();
  }

  /** Undefined when both the cgroup and the process are gone, or never could be named. */
  name(id: number, pid: number): CgroupName | undefined {
    if (id === 0) return undefined;
    if (id !== ROOT_ID) return this.#nameOfId(id);
    return this.nameOfProcess(pid) ?? ROOT;
  }

  #nameOfId(id: number): CgroupName | undefined {
    const known = this.#names.get(id);
    if (known !== undefined) return known;
    const path = this.#source(id);
    if (path !== undefined) return this.#keep(id, path);
    if (performance.now() - this.#scannedAtMs >= RESCAN_MS) this.#scan();
    return this.#names.get(id);
  }

  #keep(id: number, path: string): CgroupName {
    const name = readCgroupPath(path);
    this.#names.set(id, name);
    return name;
  }

  #scan(): void {
    this.#scannedAtMs = performance.now();
    if (this.#mount !== undefined) this.#scanBelow(this.#mount, "/", MAX_PATHS);
  }

  /** Depth first, at most `budget` directories; what is left is returned. */
  #scanBelow(directory: string, path: string, budget: number): number {
    let left = budget - 1;
    try {
      this.#keep(statSync(directory).ino, path);
      for (const entry of readdirSync(directory, { withFileTypes: true })) {
        if (left <= 0) break;
        if (!entry.isDirectory()) continue;
        left = this.#scanBelow(join(directory, entry.name), join(path, entry.name), left);
      }
    } catch {
      // removed while being read: the next scan will not find it either
    }
    return left;
  }

  /** Undefined once it is gone: its id may be another one's by then. 0 is nobody. */
  nameOfProcess(pid: number): CgroupName | undefined {
    if (pid === 0) return undefined;
    const nowMs = performance.now();
    const known = this.#processes.get(pid);
    if (known !== undefined && known.expiresAtMs > nowMs) return known.name;
    const path = readProcessPath(pid);
    const name = path === undefined ? undefined : readCgroupPath(path);
    this.#processes.set(pid, { name, expiresAtMs: nowMs + PROCESS_TTL_MS });
    return name;
  }
}

const ROOT: CgroupName = { path: "/" };

function readCgroupPath(path: string): CgroupName {
  return { path, ...workloadOf(path) };
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
