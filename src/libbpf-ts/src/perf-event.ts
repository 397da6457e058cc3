import { checkErrno } from "./errors.ts";
import { lastErrno, libc } from "./ffi.ts";

/** perf_event_open(2): arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h. */
const SYS_PERF_EVENT_OPEN = process.arch === "arm64" ? 241 : 298;
const PERF_TYPE_TRACEPOINT = 2;
const PERF_FLAG_FD_CLOEXEC = 8;
const PERF_EVENT_IOC_SET_BPF = 0x40042408;

/** PERF_ATTR_SIZE_VER5, and in it an offset of struct perf_event_attr. */
const ATTR_BYTES = 112;
const ATTR_CONFIG = 8;

/**
 * Opens a tracepoint as a perf event, by the number that tracefs gives it (events/.../id).
 *
 * @returns a descriptor, to be closed by the caller.
 * @throws BpfError when there is no such tracepoint.
 */
export function openTracepoint(id: number): number {
  const attr = new DataView(new ArrayBuffer(ATTR_BYTES));
  attr.setUint32(0, PERF_TYPE_TRACEPOINT, true);
  attr.setUint32(4, ATTR_BYTES, true);
  attr.setBigUint64(ATTR_CONFIG, BigInt(id), true);
  // all processes, CPU 0, no group
  const fd = libc().syscall(SYS_PERF_EVENT_OPEN, attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
  const object = `tracepoint number ${id}`;
  return checkErrno(fd, lastErrno(), { operation: "open perf event", object });
}

/** Runs a program at each hit of an event. */
export function setEventProgram(eventFd: number, programFd: number, object: string): void {
  const result = libc().ioctl(eventFd, PERF_EVENT_IOC_SET_BPF, programFd);
  checkErrno(result, lastErrno(), { operation: "attach program to", object });
}
