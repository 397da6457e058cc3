// Where the kernel has the numbers of its tracepoints: a file system that need not be mounted.
import { closeSync, constants, readFileSync } from "node:fs";
import { constants as os } from "node:os";
import { BpfError, checkErrno } from "./errors.ts";
import { lastErrno, libc } from "./ffi.ts";

/** They have these numbers on all architectures (include/uapi/asm-generic/unistd.h). */
const SYS_FSOPEN = 430;
const SYS_FSCONFIG = 431;
const SYS_FSMOUNT = 432;
/** include/uapi/linux/mount.h */
const FSOPEN_CLOEXEC = 1;
const FSCONFIG_CMD_CREATE = 6;
const FSMOUNT_CLOEXEC = 1;

const MOUNTED = "/sys/kernel/tracing";
const BELOW_DEBUGFS = "/sys/kernel/debug/tracing";

const O_CLOEXEC = 0o2000000;

/**
 * The number by which perf_event_open(2) knows a tracepoint. It is read from the tracefs that is
 * mounted, else from one that is mounted nowhere and gone when this returns. In this order, since a
 * further mount of older kernels sets the mode of the one that all share to the default ("tracefs:
 * Only clobber mode/uid/gid on remount if asked"); debugfs last, since to look there mounts tracefs
 * below it (trace_automount() in kernel/trace/trace.c).
 *
 * @throws BpfError: that of the one that is mounted nowhere.
 */
export function tracepointNumber(category: string, event: string): number {
  const path = `events/${category}/${event}/id`;
  const mounted = readMounted(MOUNTED, path);
  if (mounted !== undefined) return mounted;
  try {
    return readDetached(path);
  } catch (error) {
    const found = readMounted(BELOW_DEBUGFS, path);
    if (found === undefined) throw error;
    return found;
  }
}

function readMounted(mount: string, path: string): number | undefined {
  try {
    return Number(readFileSync(`${mount}/${path}`, "utf8"));
  } catch {
    return undefined; // not mounted, or not for this user
  }
}

function readDetached(path: string): number {
  const mount = mountDetached();
  try {
    const fd = libc().openat(mount, path, constants.O_RDONLY | O_CLOEXEC);
    const context = { operation: "open in tracefs", object: path };
    const file = checkErrno(fd, lastErrno(), context);
    try {
      return Number(readFileSync(file, "utf8"));
    } finally {
      closeSync(file);
    }
  } finally {
    closeSync(mount);
  }
}

/** @returns the descriptor of its root. */
function mountDetached(): number {
  const context = fileSystemCall(SYS_FSOPEN, Buffer.from("tracefs\0"), FSOPEN_CLOEXEC);
  try {
    fileSystemCall(SYS_FSCONFIG, BigInt(context), FSCONFIG_CMD_CREATE);
    return fileSystemCall(SYS_FSMOUNT, BigInt(context), FSMOUNT_CLOEXEC);
  } finally {
    closeSync(context);
  }
}

function fileSystemCall(number: number, first: bigint | Uint8Array, second: number): number {
  const result = libc().syscall(number, first, second, 0, 0, 0);
  const errno = lastErrno();
  if (Number(result) !== -1) return Number(result);
  throw new BpfError({ operation: "open", object: "tracefs", errno, detail: reasonOf(errno) });
}

function reasonOf(errno: number): string {
  const without =
    errno === os.errno.EPERM
      ? "to open it without a mount needs CAP_SYS_ADMIN and fsopen(2)"
      : "it cannot be opened without a mount";
  return `it cannot be read at ${MOUNTED}, and ${without}`;
}
