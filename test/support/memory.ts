import { readFileSync } from "node:fs";

/** What is resident of processes together, in MiB: proc(5)'s status. */
export interface Resident {
  readonly total: number;
  /** Without files that are mapped, such as the program itself, and shared memory. */
  readonly anonymous: number;
}

export function residentMiB(pids: readonly number[]): Resident {
  const all = pids.map(residentOf);
  const sum = (of: (one: Resident) => number) => all.reduce((total, one) => total + of(one), 0);
  return { total: sum(({ total }) => total), anonymous: sum(({ anonymous }) => anonymous) };
}

function residentOf(pid: number): Resident {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const read = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) / 1024;
  return { total: read("VmRSS"), anonymous: read("RssAnon") };
}

/** Of processes together, each with its part of what it shares: smaps_rollup in proc(5). */
export function proportionalMiB(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + rollupMiB(pid, "Pss"), 0);
}

/** Pages of processes together that are of no file: those that nobody else can use. */
export function anonymousMiB(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + rollupMiB(pid, "Anonymous"), 0);
}

function rollupMiB(pid: number, field: string): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(text)?.[1]) / 1024;
}
