import { constants } from "node:os";

/** Values above this are the kernel's own or libbpf's, which os.constants does not name. */
const OTHER_NAMES: ReadonlyMap<number, string> = new Map([
  // include/linux/errno.h
  [512, "ERESTARTSYS"],
  [521, "EBADHANDLE"],
  [524, "ENOTSUPP"],
  // enum libbpf_errno in bpf/libbpf.h
  [4000, "LIBBPF_ERRNO__LIBELF"],
  [4001, "LIBBPF_ERRNO__FORMAT"],
  [4002, "LIBBPF_ERRNO__KVERSION"],
  [4003, "LIBBPF_ERRNO__ENDIAN"],
  [4004, "LIBBPF_ERRNO__INTERNAL"],
  [4005, "LIBBPF_ERRNO__RELOC"],
  [4006, "LIBBPF_ERRNO__LOAD"],
  [4007, "LIBBPF_ERRNO__VERIFY"],
  [4008, "LIBBPF_ERRNO__PROG2BIG"],
  [4009, "LIBBPF_ERRNO__KVER"],
  [4010, "LIBBPF_ERRNO__PROGTYPE"],
]);

const NAMES: ReadonlyMap<number, string> = new Map([
  ...Object.entries(constants.errno).map(([name, value]): [number, string] => [value, name]),
  [constants.errno.EAGAIN, "EAGAIN"],
  [constants.errno.EOPNOTSUPP, "EOPNOTSUPP"],
  ...OTHER_NAMES,
]);

const NUMBERS: Readonly<Record<string, number>> = constants.errno;

export const ENOTSUPP = 524;

/** `errno` as a name, "ENOENT" for 2; "errno 9999" for one without a name. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `errno ${errno}`;
}

export interface BpfErrorFields {
  /** What was attempted: "load object", "attach program". */
  readonly operation: string;
  /** What it was attempted on: the name of a program, map, path. */
  readonly object: string;
  /** Positive errno; left out when only the code is known. */
  readonly errno?: number;
  /** Name of the errno; found from `errno` when left out. */
  readonly code?: string;
  /** The reason in words, where more than the errno is known. */
  readonly detail?: string;
  /** What libbpf and the verifier said, summarised, lines joined by \n. */
  readonly log?: string;
}

/** A failed operation: what, on which object, and why. */
export class BpfError extends Error {
  override readonly name = "BpfError";
  readonly operation: string;
  readonly object: string;
  /** Positive errno, 0 when there is none. */
  readonly errno: number;
  /** errno as a name. */
  readonly code: string;
  /** Empty when nothing was logged. */
  readonly log: string;

  constructor(fields: BpfErrorFields) {
    const errno = fields.errno ?? NUMBERS[fields.code ?? ""] ?? 0;
    const code = fields.code ?? errnoName(errno);
    const detail = fields.detail === undefined ? "" : `: ${fields.detail}`;
    const log = fields.log ?? "";
    const tail = log === "" ? "" : `\n${log}`;
    super(`${fields.operation} ${fields.object}: ${code}${detail}${tail}`);
    this.operation = fields.operation;
    this.object = fields.object;
    this.errno = errno;
    this.code = code;
    this.log = log;
  }
}

export type Context = Pick<BpfErrorFields, "operation" | "object" | "detail" | "log">;

/**
 * For calls that return a negative errno (all of libbpf's). Gives the result back.
 *
 * @throws BpfError when the result is negative.
 */
export function checkResult(result: number, context: Context): number {
  if (result >= 0) return result;
  throw new BpfError({ ...context, errno: -result });
}

/**
 * For calls that return NULL and set errno, which the caller reads at once.
 *
 * @throws BpfError when the pointer is null.
 */
export function checkPointer(pointer: bigint | null, errno: number, context: Context): bigint {
  if (pointer !== null) return pointer;
  throw new BpfError({ ...context, errno });
}

/**
 * For C library calls that return -1 and set errno, which the caller reads at once.
 *
 * @throws BpfError when the result is -1.
 */
export function checkErrno(result: number | bigint, errno: number, context: Context): number {
  if (Number(result) !== -1) return Number(result);
  throw new BpfError({ ...context, errno });
}
