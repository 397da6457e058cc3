import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { until } from "./until.ts";

export type Kind = "prog" | "link" | "map";

/** Ids of what a process holds in the kernel, from the descriptors it has open. */
export function held(kind: Kind, pid: number): number[] {
  const ids = readdirSync(`/proc/${pid}/fdinfo`).map((fd) => {
    const info = readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8");
    return Number(new RegExp(String.raw`^${kind}_id:\s+(\d+)$`, "m").exec(info)?.[1]);
  });
  return ids.filter((id) => !Number.isNaN(id));
}

/** Ids of all there is in the kernel, as bpftool sees it. */
export function show(kind: Kind): number[] {
  const text = execFileSync("bpftool", ["--json", kind, "show"], { encoding: "utf8" });
  return (JSON.parse(text) as { id: number }[]).map(({ id }) => id);
}

/** The kernel frees them after a grace period. */
export function allFreed(kind: Kind, ids: readonly number[]): Promise<void> {
  const left = () => show(kind).filter((id) => ids.includes(id));
  return until(
    () => left().length === 0,
    () => `${kind} ${left()} freed`,
  );
}
