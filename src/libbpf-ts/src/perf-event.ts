import { readFileSync } from "node:fs";
import { BpfError, checkErrno } from "./errors.ts";
import { addressOf, lastErrno, libc } from "./ffi.ts";

/** perf_event_open(2): arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h. */
const SYS_PERF_EVENT_OPEN = process.arch === "arm64" ? 241 : 298;
const PERF_TYPE_TRACEPOINT = 2;
const PERF_FLAG_FD_CLOEXEC = 8;
const PERF_EVENT_IOC_SET_BPF = 0x40042408;

/** PERF_ATTR_SIZE_VER5, and in it the offsets of struct perf_event_attr. */
const ATTR_BYTES = 112;
const ATTR_CONFIG = 8;
const ATTR_KPROBE_FUNC = 56;

const TRACEFS = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
const KPROBE_TYPE = "/sys/bus/event_source/devices/kprobe/type";

function readNumber(paths: readonly string[], object: string, absent: string): number {
  for (const path of paths) {
    try {
      return Number(readFileSync(path, "utf8"));
    } catch {
      // the next place
    }
  }
  const detail = `${absent}: looked for ${paths.join(", ")}`;
  throw new BpfError({ operation: "find", object, code: "ENOENT", detail });
}

function open(type: number, config: number, functionName: string | null, object: string): number {
  const attr = new DataView(new ArrayBuffer(ATTR_BYTES));
  attr.setUint32(0, type, true);
  attr.setUint32(4, ATTR_BYTES, true);
  attr.setBigUint64(ATTR_CONFIG, BigInt(config), true);
  const name = Buffer.from(`${functionName ?? ""}\0`);
  if (functionName !== null) attr.setBigUint64(ATTR_KPROBE_FUNC, addressOf(name), true);
  // all processes, CPU 0, no group
  const fd = libc().syscall(SYS_PERF_EVENT_OPEN, attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
  return checkErrno(fd, lastErrno(), { operation: "open perf event", object });
}

/**
 * Opens a tracepoint as a perf event.
 *
 * @returns a descriptor, to be closed by the caller.
 * @throws BpfError ENOENT when there is no such tracepoint, or tracefs is not mounted.
 */
export function openTracepoint(category: string, name: string): number {
  const object = `tracepoint ${category}/${name}`;
  const paths = TRACEFS.map((directory) => `${directory}/events/${category}/${name}/id`);
  const id = readNumber(paths, object, "no such tracepoint, or tracefs is not mounted");
  return open(PERF_TYPE_TRACEPOINT, id, null, object);
}

/**
 * Opens a kprobe as a perf event, disabled.
 *
 * @returns a descriptor, to be closed by the caller.
 * @throws BpfError ENOENT when the kernel has no kprobes, or no such function.
 */
export function openKprobe(functionName: string, ret: boolean): number {
  const object = `${ret ? "kretprobe" : "kprobe"} ${functionName}`;
  const type = readNumber(
    [KPROBE_TYPE],
    object,
    "the kernel has no kprobes (CONFIG_KPROBE_EVENTS)",
  );
  return open(type, ret ? 1 : 0, functionName, object);
}

/** Runs a program at each hit of an event. */
export function setEventProgram(eventFd: number, programFd: number, object: string): void {
  const result = libc().ioctl(eventFd, PERF_EVENT_IOC_SET_BPF, programFd);
  checkErrno(result, lastErrno(), { operation: "attach program to", object });
}
