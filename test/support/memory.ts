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
  const kib = pids.map((pid) => {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
    return Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1]);
  });
  return kib.reduce((sum, one) => sum + one, 0) / 1024;
}
