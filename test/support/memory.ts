import { readFileSync } from "node:fs";

/** What is resident of a process, in MiB: proc(5)'s status. */
export interface Resident {
  readonly total: number;
  /** Without files that are mapped, such as the program itself, and shared memory. */
  readonly anonymous: number;
}

export function residentMiB(pid: number): Resident {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const read = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) / 1024;
  return { total: read("VmRSS"), anonymous: read("RssAnon") };
}
