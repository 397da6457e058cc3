import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { inNamespace } from "../kernel/namespaces.ts";
import { LruMap } from "../util/lru.ts";
import { isPrintable } from "../util/shell.ts";
import type { NetnsName } from "./observed.ts";
import type { NetnsPlace } from "./place.ts";

/** Of ip-netns(8): the directory that `ip netns exec` looks into. */
const NAMED = "/run/netns";
const MAX_NAMES = 4096;

const MAX_PLACES = 512;
/** Findings are put into words again and again, all that are kept for each reader. */
const KEEP_MS = 1000;

/** Ways into the namespace of an incident, as they are now. */
export type LocateNetns = (
  netns: NetnsName | undefined,
  pids: readonly (number | undefined)[],
) => NetnsPlace;

interface Located {
  readonly place: NetnsPlace;
  readonly expiresAtMs: number;
}

/**
 * A finding is told long after what it rests on. By then its namespace may be gone, its inode number
 * another one's, and a process id another process's: what is found here was compared just now.
 */
export function createLocateNetns(): LocateNetns {
  const home = homeInum();
  return (netns, pids) => locate(netns, pids, home);
}

/** Remembers for a moment what `look` finds. Where it throws, the last answer is better than none. */
export function rememberPlaces(look: LocateNetns): LocateNetns {
  const located = new LruMap<string, Located>(MAX_PLACES);
  return (netns, pids) => {
    const key = JSON.stringify([netns?.cookie, netns?.inum, pids]);
    const nowMs = performance.now();
    const known = located.get(key);
    if (known !== undefined && nowMs < known.expiresAtMs) return known.place;
    const place = attempt(() => look(netns, pids)) ?? known?.place ?? identityOf(netns);
    located.set(key, { place, expiresAtMs: nowMs + KEEP_MS });
    return place;
  };
}

function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}

function identityOf(netns: NetnsName | undefined): NetnsPlace {
  return { cookie: netns?.cookie, inum: netns?.inum };
}

function locate(
  netns: NetnsName | undefined,
  pids: readonly (number | undefined)[],
  home: number | undefined,
): NetnsPlace {
  const identity = identityOf(netns);
  const { cookie, inum } = netns ?? {};
  if (inum === undefined) return identity;
  if (inum === home) return { ...identity, isHome: true };
  const isThere = (path: string) => leadsTo(path, inum, cookie);
  return {
    ...identity,
    ipNetnsName: namesOf(inum).find((name) => isThere(join(NAMED, name))),
    pid: pids.find((pid) => pid !== undefined && isThere(`/proc/${pid}/ns/net`)),
  };
}

/**
 * Of process 1, whose namespace a shell on this machine is in; the daemon's own where that one
 * cannot be looked at. Neither goes away while the daemon runs, nor is its number used again.
 */
function homeInum(): number | undefined {
  return inumAt("/proc/1/ns/net") ?? inumAt("/proc/self/ns/net");
}

/** Names that can be written out come first. */
function namesOf(inum: number): string[] {
  const names = entries(NAMED).filter((name) => inumAt(join(NAMED, name)) === inum);
  return names.sort((one, other) => Number(isPrintable(other)) - Number(isPrintable(one)));
}

/**
 * The kernel gives a namespace's number to the next one as soon as it is gone (proc_alloc_inum), so
 * where namespaces have cookies it is the cookie that decides.
 */
function leadsTo(path: string, inum: number, cookie: string | undefined): boolean {
  if (inumAt(path) !== inum) return false;
  try {
    const expected = cookie === undefined ? undefined : BigInt(cookie);
    return inNamespace({ inum, cookie: expected, path }, () => true);
  } catch {
    return false; // it went away, or this daemon may not look
  }
}

function inumAt(path: string): number | undefined {
  try {
    return statSync(path).ino;
  } catch {
    return undefined; // it went away, or this daemon may not look
  }
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory).sort().slice(0, MAX_NAMES);
  } catch {
    return []; // nobody has made a named namespace
  }
}
