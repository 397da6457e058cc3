import { checkErrno } from "./errors.ts";
import { lastErrno, libc } from "./ffi.ts";

// include/uapi/linux/time.h
export const CLOCK_REALTIME = 0;
export const CLOCK_MONOTONIC = 1;
export const CLOCK_BOOTTIME = 7;

/** Time of a kernel clock in nanoseconds, as BPF programs see it (bpf_ktime_get_ns and others). */
export function clockNs(clock: number): bigint {
  const time = new BigInt64Array(2);
  const result = libc().clock_gettime(clock, new Uint8Array(time.buffer));
  checkErrno(result, lastErrno(), { operation: "read clock", object: String(clock) });
  return (time[0] ?? 0n) * 1_000_000_000n + (time[1] ?? 0n);
}
