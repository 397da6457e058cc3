import { stat } from "node:fs";
import { release } from "node:os";
import {
  allowDumps,
  type Capability,
  clearAmbientCapabilities,
  dropFromBoundingSet,
  forbidNewPrivileges,
  keepCapabilitiesAcrossSetuid,
  permittedCapabilities,
  setCapabilities,
} from "libbpf-ts";
import type { Privileges } from "../http/openapi/status.schema.ts";
import { ownUser, type User, unusedUser } from "./own-user.ts";

/** What each capability is for; the table in docs/operations.md is made of it. */
export interface Need {
  readonly capability: Capability;
  readonly toAttach: string | undefined;
  /** While it runs. */
  readonly toRun: string | undefined;
}

const OWN_USER = "give the process that serves a user of its own, also when it is started again";
const LATE = "attach to a module that is loaded later";
const OF_USERS: readonly Capability[] = ["CAP_SETUID", "CAP_SETGID"];
const OF_ADMIN: readonly Capability[] = ["CAP_BPF", "CAP_PERFMON"];

export const NEEDS: readonly Need[] = [
  { capability: "CAP_BPF", toAttach: "load BPF programs, make maps", toRun: LATE },
  { capability: "CAP_PERFMON", toAttach: "attach to tracepoints and functions", toRun: LATE },
  {
    capability: "CAP_NET_ADMIN",
    toAttach: "attach to cgroups",
    toRun: "read the kernel's conntrack statistics, where /proc/net/stat lacks them",
  },
  {
    capability: "CAP_SYS_ADMIN",
    toAttach:
      "read the BTF of modules, open tracefs where it is not mounted; alone it stands for the three above",
    toRun: "enter network namespaces: to know them, to count their ports and conntrack entries",
  },
  {
    capability: "CAP_SYS_PTRACE",
    toAttach: undefined,
    toRun: "find network namespaces and the holders of ports by /proc/PID",
  },
  {
    capability: "CAP_DAC_READ_SEARCH",
    toAttach: "read tracefs, for programs on syscall tracepoints, if not root",
    toRun: "list the descriptors of other users' processes",
  },
  {
    capability: "CAP_SYS_RESOURCE",
    toAttach: "raise the limit of locked memory, which maps count towards before 5.11",
    toRun: undefined,
  },
  { capability: "CAP_SETUID", toAttach: OWN_USER, toRun: OWN_USER },
  { capability: "CAP_SETGID", toAttach: OWN_USER, toRun: OWN_USER },
  {
    capability: "CAP_KILL",
    toAttach: undefined,
    toRun: "end the process that serves when it hangs",
  },
];

/** What of it is kept once all is attached. */
export type KeepChoice = "needed" | "none" | "all";

type OwnPrivileges = Omit<Privileges, "serving_uid">;

/** The capabilities to go on with, of those that there are. */
function capabilitiesToKeep(choice: Exclude<KeepChoice, "all">): Set<Capability> {
  const permitted = permittedCapabilities();
  const kept = new Set(NEEDS.filter(({ toRun }) => toRun).map(({ capability }) => capability));
  if (choice === "none") {
    // Before 5.19 every bpf() call needs it where unprivileged BPF is disabled, also a look-up in
    // an own map (c8644cd0efe7 "bpf: refine kernel.unprivileged_bpf_disabled behaviour").
    kept.clear();
    if (isBefore(5, 19)) kept.add("CAP_BPF");
  }
  return new Set([...kept].filter((name) => permitted.has(name)));
}

/**
 * Gives up what is not needed any more. A process of root becomes `user` on all its threads, which
 * by that lose every capability (capabilities(7), "Effect of user ID changes on capabilities"); only
 * the calling one, on which all that needs them runs, keeps some. Elsewhere the threads that Node
 * has besides, which run no JavaScript, stay as they were started.
 *
 * @param user undefined: it stays who it is.
 * @throws BpfError
 */
export function dropPrivileges(choice: KeepChoice, user: User | undefined): OwnPrivileges {
  if (choice === "all") return currentPrivileges();
  const kept = capabilitiesToKeep(choice);
  startThreads();
  if (user !== undefined) become(user);
  setCapabilities(kept);
  clearAmbientCapabilities();
  forbidNewPrivileges();
  return currentPrivileges();
}

/** What this process starts can gain nothing but another user; itself it may go on. */
export function dropBoundingSet(): void {
  if (permittedCapabilities().has("CAP_SETPCAP")) dropFromBoundingSet(new Set(OF_USERS));
}

/** Who the two processes will be. */
export interface Users {
  /** Undefined: this one stays who it is. */
  readonly own: User | undefined;
  /** Undefined: the other one can only be the same. */
  readonly serving: User | undefined;
  /**
   * As whom that one is started: root, where the files that it is made of may be for root alone, and
   * it becomes `serving` before it takes anything from outside.
   */
  readonly starting: User | undefined;
}

const ROOT: User = { uid: 0, gid: 0 };

/**
 * Without a capability left this process has no more rights than the one that serves, and could not
 * start or end one of another user.
 *
 * @param user as for `ownUser`.
 * @throws BpfError
 */
export function chooseUsers(choice: KeepChoice, user: string): Users {
  const isRoot = process.geteuid?.() === 0;
  const own = choice !== "all" && isRoot ? ownUser(user) : undefined;
  const permitted = permittedCapabilities();
  const isAble = OF_USERS.every((name) => permitted.has(name));
  if (!isAble) return { own, serving: undefined, starting: undefined };
  const isAlike = choice === "none" && own !== undefined && own.uid !== 0;
  const serving = isAlike ? own : unusedUser();
  return { own, serving, starting: isRoot ? ROOT : serving };
}

/** Without the right to make it somebody else, it starts as who this one is. */
export function startingUser({ starting }: Users): User | undefined {
  const permitted = permittedCapabilities();
  return OF_USERS.every((name) => permitted.has(name)) ? starting : undefined;
}

/** For the process that is to serve: on all its threads, which by that lose every capability. */
export function becomeServing(user: User | undefined): void {
  if (user !== undefined && process.geteuid?.() !== user.uid) {
    process.setgroups?.([]);
    process.setgid?.(user.gid);
    process.setuid?.(user.uid);
    // Of a process that changed its user, /proc/self belongs to root (proc_pid(5), PR_SET_DUMPABLE).
    allowDumps();
  }
  clearAmbientCapabilities();
  setCapabilities([]);
  forbidNewPrivileges();
}

/**
 * Those of libuv's pool are made with its first work (src/threadpool.c, init_once()), and a thread has what the one
 * that makes it has: made later, they would have what is kept.
 */
function startThreads(): void {
  stat("/", () => {});
}

function currentPrivileges(): OwnPrivileges {
  const permitted = permittedCapabilities();
  const missing = NEEDS.filter(({ capability, toRun }) => toRun && !permitted.has(capability));
  // CAP_SYS_ADMIN stands for these (bpf_capable and perfmon_capable, 5.8).
  const implied: readonly Capability[] = permitted.has("CAP_SYS_ADMIN") ? OF_ADMIN : [];
  return {
    uid: process.geteuid?.() ?? 0,
    capabilities: [...permitted],
    without: Object.fromEntries(
      missing
        .filter(({ capability }) => !implied.includes(capability))
        .map(({ capability, toRun }) => [capability, `cannot ${toRun}`]),
    ),
  };
}

function become({ uid, gid }: User): void {
  if (uid === 0) return;
  keepCapabilitiesAcrossSetuid();
  process.setgroups?.([]);
  process.setgid?.(gid);
  process.setuid?.(uid);
}

function isBefore(major: number, minor: number): boolean {
  const [its = 0, itsMinor = 0] = release().split(".").map(Number);
  return its < major || (its === major && itsMinor < minor);
}
