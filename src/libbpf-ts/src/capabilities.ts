// Rights of the calling thread (capabilities(7)): the kernel keeps them by thread, not by process.
import { readFileSync } from "node:fs";
import { checkErrno } from "./errors.ts";
import { lastErrno, libc } from "./ffi.ts";

/** By number (include/uapi/linux/capability.h, 6.12). */
export const CAPABILITIES = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_DAC_READ_SEARCH",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETPCAP",
  "CAP_LINUX_IMMUTABLE",
  "CAP_NET_BIND_SERVICE",
  "CAP_NET_BROADCAST",
  "CAP_NET_ADMIN",
  "CAP_NET_RAW",
  "CAP_IPC_LOCK",
  "CAP_IPC_OWNER",
  "CAP_SYS_MODULE",
  "CAP_SYS_RAWIO",
  "CAP_SYS_CHROOT",
  "CAP_SYS_PTRACE",
  "CAP_SYS_PACCT",
  "CAP_SYS_ADMIN",
  "CAP_SYS_BOOT",
  "CAP_SYS_NICE",
  "CAP_SYS_RESOURCE",
  "CAP_SYS_TIME",
  "CAP_SYS_TTY_CONFIG",
  "CAP_MKNOD",
  "CAP_LEASE",
  "CAP_AUDIT_WRITE",
  "CAP_AUDIT_CONTROL",
  "CAP_SETFCAP",
  "CAP_MAC_OVERRIDE",
  "CAP_MAC_ADMIN",
  "CAP_SYSLOG",
  "CAP_WAKE_ALARM",
  "CAP_BLOCK_SUSPEND",
  "CAP_AUDIT_READ",
  "CAP_PERFMON",
  "CAP_BPF",
  "CAP_CHECKPOINT_RESTORE",
] as const;

export type Capability = (typeof CAPABILITIES)[number];

/** _LINUX_CAPABILITY_VERSION_3: two sets of 32 bits each. */
const VERSION = 0x20080522;

/** include/uapi/linux/prctl.h */
const PR_SET_PDEATHSIG = 1;
const PR_SET_DUMPABLE = 4;
const PR_SET_KEEPCAPS = 8;
const PR_CAPBSET_READ = 23;
const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_CLEAR_ALL = 4;

/** What the calling thread may use. */
export function permittedCapabilities(): Set<Capability> {
  const status = readFileSync("/proc/thread-self/status", "latin1");
  const bits = BigInt(`0x${/^CapPrm:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  return new Set(CAPABILITIES.filter((_, number) => (bits >> BigInt(number)) & 1n));
}

/** Makes these the permitted and effective ones of the calling thread, and none inheritable. */
export function setCapabilities(names: Iterable<Capability>): void {
  let bits = 0n;
  for (const name of names) bits |= 1n << BigInt(CAPABILITIES.indexOf(name));
  const sets = new Uint32Array(6);
  for (const half of [0, 1]) {
    const word = Number((bits >> BigInt(32 * half)) & 0xffff_ffffn);
    sets[3 * half] = word;
    sets[3 * half + 1] = word;
  }
  const result = libc().capset(new Uint32Array([VERSION, 0]), sets);
  checkErrno(result, lastErrno(), { operation: "set capabilities", object: "of this thread" });
}

/** Neither the calling thread nor a child of it can gain others than these by an exec any more. */
export function dropFromBoundingSet(kept: ReadonlySet<Capability>): void {
  for (let number = 0; prctl(PR_CAPBSET_READ, number) >= 0; number++) {
    const name = CAPABILITIES[number];
    if (name !== undefined && kept.has(name)) continue;
    check(prctl(PR_CAPBSET_DROP, number), "drop from bounding set", name ?? String(number));
  }
}

/** The calling thread keeps its permitted capabilities when it changes from root to another user. */
export function keepCapabilitiesAcrossSetuid(): void {
  check(prctl(PR_SET_KEEPCAPS, 1), "keep capabilities", "across setuid");
}

export function clearAmbientCapabilities(): void {
  check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL), "clear", "ambient capabilities");
}

/** Neither the calling thread nor a child of it gets rights by an exec any more. */
export function forbidNewPrivileges(): void {
  check(prctl(PR_SET_NO_NEW_PRIVS, 1), "set", "no_new_privs");
}

const SIGKILL = 9;

/** The process is ended when the thread that started it ends; it may have ended before this call. */
export function dieWithParent(): void {
  check(prctl(PR_SET_PDEATHSIG, SIGKILL), "end with parent", "this process");
}

/** Its files in /proc belong to its user, who may trace it, although it has been another one. */
export function allowDumps(): void {
  check(prctl(PR_SET_DUMPABLE, 1), "allow dumps", "of this process");
}

function prctl(operation: number, argument: number): number {
  return libc().prctl(operation, argument, 0, 0, 0);
}

function check(result: number, operation: string, object: string): void {
  checkErrno(result, lastErrno(), { operation, object });
}
