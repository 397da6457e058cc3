import type { Principal } from "../util/fair-lru.ts";
import { netnsKey } from "./format.ts";
import type { Owner } from "./observed.ts";

/** systemd's slice of a login user: below it the user makes what cgroups they like. */
const USER_SLICE = /^\/user\.slice\/(user-\d+\.slice)(?:\/|$)/;

/**
 * Whom what is kept of somebody is charged to, so that there is room for others: the cgroup that
 * the system or a runtime made, within which they may make more, and the user. A user has many
 * namespaces, and in a namespace as many addresses and names as they like. Where nobody is known,
 * it is the namespace's.
 */
export function principalOf({ process, cgroup, netns }: Owner): Principal {
  const group = cgroup === undefined ? "" : groupOf(cgroup);
  if (process?.uid !== undefined) return { group, user: userKey(process.uid) };
  return { group: group || "nobody known", user: netnsKey(netns) };
}

export function userKey(uid: number): string {
  return `uid ${uid}`;
}

function groupOf({ path = "", unit, pod, container }: NonNullable<Owner["cgroup"]>): string {
  const top = path.split("/", 3).join("/");
  return USER_SLICE.exec(path)?.[1] ?? unit ?? pod ?? container ?? top;
}
