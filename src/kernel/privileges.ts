import { readFileSync } from "node:fs";
import { release } from "node:os";
import {
  BpfError,
  type Capability,
  clearAmbientCapabilities,
  dropFromBoundingSet,
  forbidNewPrivileges,
  keepCapabilitiesAcrossSetuid,
  permittedCapabilities,
  setCapabilities,
} from "libbpf-ts";

/** What each capability is for; the README's table is made of it. */
export interface Need {
  readonly capability: Capability;
  readonly toAttach: string | undefined;
  /** While it runs. */
  readonly toRun: string | undefined;
}

const LATE = "attach to a module that is loaded later";
const OF_ADMIN: readonly Capability[] = ["CAP_BPF", "CAP_PERFMON"];
const AUTO_USERS = ["tuplewatch", "nobody"];

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
    toAttach: "read the BTF of modules; alone it stands for the three above",
    toRun: "enter network namespaces, to count their ports and conntrack entries",
  },
  {
    capability: "CAP_SYS_PTRACE",
    toAttach: undefined,
    toRun: "find network namespaces and the holders of ports by /proc/PID",
  },
  {
    capability: "CAP_DAC_READ_SEARCH",
    toAttach: "read tracefs, for programs on syscall tracepoints",
    toRun: "list the descriptors of other users' processes",
  },
  {
    capability: "CAP_SYS_RESOURCE",
    toAttach: "raise the limit of locked memory, which maps count towards before 5.11",
    toRun: undefined,
  },
];

/** What of it is kept once all is attached. */
export type KeepChoice = "needed" | "none" | "all";

/** As /status has it. */
export interface Privileges {
  readonly uid: number;
  readonly capabilities: readonly Capability[];
  /** What does not work without those that are missing. */
  readonly without: Readonly<Partial<Record<Capability, string>>>;
}

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
 * @param user a name, or "auto": tuplewatch, else nobody.
 * @throws BpfError
 */
export function dropPrivileges(choice: KeepChoice, user: string): Privileges {
  if (choice === "all") return currentPrivileges();
  const kept = capabilitiesToKeep(choice);
  if (permittedCapabilities().has("CAP_SETPCAP")) dropFromBoundingSet(kept);
  if (process.geteuid?.() === 0) become(user === "auto" ? AUTO_USERS : [user]);
  setCapabilities(kept);
  clearAmbientCapabilities();
  forbidNewPrivileges();
  return currentPrivileges();
}

function currentPrivileges(): Privileges {
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

function become(names: readonly string[]): void {
  const { uid, gid } = findUser(names);
  if (uid === 0) return;
  keepCapabilitiesAcrossSetuid();
  process.setgroups?.([]);
  process.setgid?.(gid);
  process.setuid?.(uid);
}

/** The first that there is, by passwd(5): users of other sources, such as LDAP, are no daemons. */
function findUser(names: readonly string[]): { uid: number; gid: number } {
  const lines = readFileSync("/etc/passwd", "utf8").split("\n");
  for (const name of names) {
    const [, , uid, gid] = lines.find((line) => line.startsWith(`${name}:`))?.split(":") ?? [];
    if (uid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  const detail = "no such user in /etc/passwd";
  throw new BpfError({
    operation: "change user",
    object: names.join(", "),
    code: "ENOENT",
    detail,
  });
}

function isBefore(major: number, minor: number): boolean {
  const [its = 0, itsMinor = 0] = release().split(".").map(Number);
  return its < major || (its === major && itsMinor < minor);
}
