import { readdirSync, readFileSync } from "node:fs";

/** CPU time of processes together so far, ns, of all their threads: schedstat in proc(5). */
export function cpuNs(pids: readonly number[]): number {
  return pids.flatMap(threadsOf).reduce((sum, ns) => sum + ns, 0);
}

function threadsOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const [ran] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ");
    return Number(ran);
  });
}
