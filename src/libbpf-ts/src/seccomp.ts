// Filters of system calls (seccomp(2)), as programs of classic BPF (include/uapi/linux/filter.h).
import { BpfError, checkErrno } from "./errors.ts";
import { lastErrno, libc, memoryAddress } from "./ffi.ts";

/** struct sock_filter. */
export interface FilterInstruction {
  readonly code: number;
  /** Instructions to skip if the comparison holds, and if it does not. */
  readonly jumpTrue: number;
  readonly jumpFalse: number;
  readonly operand: number;
}

const BYTES = 8;
/** BPF_MAXINSNS. */
const MAX_INSTRUCTIONS = 4096;
const SYS_SECCOMP: Readonly<Record<string, number>> = { x64: 317, arm64: 277 };
const SECCOMP_SET_MODE_FILTER = 1n;
const SECCOMP_FILTER_FLAG_TSYNC = 1;

/**
 * Filters what the process calls from now on, and what it starts; nothing takes that back. Without
 * CAP_SYS_ADMIN it needs no_new_privs: see forbidNewPrivileges.
 *
 * @param threads "all" that there are; "calling": this one, and those it makes.
 * @throws BpfError
 */
export function installFilter(
  program: readonly FilterInstruction[],
  threads: "all" | "calling",
): void {
  const context = { operation: "install filter", object: `of ${program.length} instructions` };
  const number = SYS_SECCOMP[process.arch];
  if (number === undefined || program.length > MAX_INSTRUCTIONS) {
    throw new BpfError({ ...context, code: number === undefined ? "ENOSYS" : "E2BIG" });
  }
  const instructions = encode(program);
  const header = new DataView(new ArrayBuffer(16)); // struct sock_fprog
  header.setUint16(0, program.length, true);
  header.setBigUint64(8, memoryAddress(instructions), true);
  const flags = threads === "all" ? SECCOMP_FILTER_FLAG_TSYNC : 0;
  const at = memoryAddress(header);
  const result = libc().syscall(number, SECCOMP_SET_MODE_FILTER, flags, at, 0, 0);
  // With TSYNC it is the id of a thread that could not be filtered.
  if (Number(result) > 0) throw new BpfError({ ...context, code: "EBUSY" });
  checkErrno(result, lastErrno(), context);
}

function encode(program: readonly FilterInstruction[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(BYTES * program.length));
  for (const [index, { code, jumpTrue, jumpFalse, operand }] of program.entries()) {
    view.setUint16(BYTES * index, code, true);
    view.setUint8(BYTES * index + 2, jumpTrue);
    view.setUint8(BYTES * index + 3, jumpFalse);
    view.setUint32(BYTES * index + 4, operand >>> 0, true);
  }
  return new Uint8Array(view.buffer);
}
