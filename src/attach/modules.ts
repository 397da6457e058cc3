import { readFileSync, statSync } from "node:fs";

/**
 * Identifies one loading of a kernel module: another number when it has been removed and loaded
 * again. Undefined while it is not there, or not ready yet. One that is built in is always there,
 * if it has parameters or a version (as nf_conntrack has).
 */
export function moduleInstanceId(name: string): number | undefined {
  const directory = `/sys/module/${name}`;
  const found = statSync(directory, { throwIfNoEntry: false });
  return found === undefined || !isLive(directory) ? undefined : found.ino;
}

/** The state is not there for what is built in. Going and coming modules have another one. */
function isLive(directory: string): boolean {
  try {
    return readFileSync(`${directory}/initstate`, "utf8").trim() === "live";
  } catch {
    return true;
  }
}
