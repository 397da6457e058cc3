import { checkErrno } from "./errors.ts";
import { lastErrno, libc } from "./ffi.ts";

/** perf_event_open(2): arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h. */
const SYS_PERF_EVENT_OPEN = process.arch === "arm64" ? 241 : 298;
const PERF_TYPE_TRACEPOINT = 2;
const PERF_FLAG_FD_CLOEXEC = 8;

/** PERF_ATTR_SIZE_VER5, and in it an offset of struct perf_event_attr. */
const ATTR_BYTES = 112;
const ATTR_CONFIG = 8;

/**
 * Opens a tracepoint as a perf event, by the number that tracefs gives it (events/.../id).
 *
 * @param name what errors call it.
 * @returns a descriptor, to be closed by the caller.
 * @throws BpfError when there is no such tracepoint.
 */
export function openTracepoint(number: number, name: string): number {
  const attr = new DataView(new ArrayBuffer(ATTR_BYTES));
  attr.setUint32(0, PERF_TYPE_TRACEPOINT, true);
  attr.setUint32(4, ATTR_BYTES, true);
  attr.setBigUint64(ATTR_CONFIG, BigInt(number), true);
  // all processes, CPU 0, no group
  const fd = libc().syscall(SYS_PERF_EVENT_OPEN, attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
  const object = `tracepoint ${name} (number ${number})`;
  return checkErrno(fd, lastErrno(), { operation: "open perf event", object });
}
