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

/** The root of a cgroup2 tree; where there are other hierarchies every process may be in it. */
const ROOT_ID = 1;

/** Set by exit_signals() (include/linux/sched.h). */
const PF_EXITING = 4;

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
  /** Of who is in the root and has ended: in other hierarchies it may have been anywhere. */
  readonly #ended: CgroupName | undefined = isUnified(ownHierarchies()) ? ROOT : undefined;
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
    return this.nameOfProcess(pid) ?? this.#ended;
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

/**
 * The path of a process's cgroup; undefined if it has ended. One that nobody has waited for yet is
 * shown in the root of each version 1 hierarchy, and in a version 2 cgroup that may have been
 * deleted (proc_cgroup_show(), kernel/cgroup/cgroup.c).
 */
export function readProcessPath(pid: number): string | undefined {
  try {
    const path = parseProcCgroup(readFileSync(`/proc/${pid}/cgroup`, "utf8"));
    const isDoubtful = path === "/" || path?.endsWith(" (deleted)") === true;
    return isDoubtful && hasEnded(pid) ? undefined : path;
  } catch {
    return undefined; // the process is gone
  }
}

/** By its flags, the seventh field after the name in parentheses: do_task_stat(), fs/proc/array.c. */
function hasEnded(pid: number): boolean {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const flags = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[6]);
  return (flags & PF_EXITING) !== 0;
}

function ownHierarchies(): string {
  try {
    return readFileSync("/proc/self/cgroup", "utf8");
  } catch {
    return ""; // a kernel without cgroups
  }
}

/** Whether /proc/PID/cgroup has no hierarchy but that of version 2. */
export function isUnified(text: string): boolean {
  return /^0::\/.*\n?$/.test(text);
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
