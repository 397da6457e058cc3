import { SEVERITIES } from "../events/finding-kinds.ts";
import { largest, type Principal } from "../util/fair-lru.ts";
import type { Diagnosis } from "./finding.ts";
import { userKey } from "./principal.ts";

const ROOT = userKey(0);

/** What takes up room that others may want. */
export interface Occupant {
  readonly principal: Principal;
  readonly severity: Diagnosis["severity"];
}

/**
 * Who has to go: of the group that has most, and of its user that has most, the least severe; of
 * those the first, which is the oldest where `occupants` are in order.
 */
export function leastWorthKeeping<T extends Occupant>(occupants: Iterable<T>): T | undefined {
  const all = [...occupants];
  const group = ofLargest(all, ({ principal }) => principal.group);
  const user = ofLargest(group, ({ principal }) => principal.user);
  return largest(user, ({ severity }) => SEVERITIES.indexOf(severity));
}

/**
 * Whether two share a share. A user is one, whatever cgroups are known of their processes; root is
 * many, one for each cgroup.
 */
export function isSameShare(one: Principal, other: Principal): boolean {
  return one.user === other.user && (one.user !== ROOT || one.group === other.group);
}

/** Those whose key most of them have; of several such keys the one that came first. */
export function ofLargest<T>(items: readonly T[], keyOf: (item: T) => string): T[] {
  const byKey = new Map<string, T[]>();
  for (const item of items) {
    const alike = byKey.get(keyOf(item));
    if (alike === undefined) byKey.set(keyOf(item), [item]);
    else alike.push(item);
  }
  return largest(byKey.values(), ({ length }) => length) ?? [];
}
