import { constants } from "node:os";
import { checkResult } from "./errors.ts";
import { libc } from "./ffi.ts";

/** sigset_t of glibc and musl, of which Linux uses the first 64 bits. */
const SIGSET_BYTES = 128;
const SIG_SETMASK = 2; // include/uapi/asm-generic/signal-defs.h

/** What a thread's own mistakes raise: blocked, they end the process without a word. */
const SYNCHRONOUS = ["SIGILL", "SIGTRAP", "SIGBUS", "SIGFPE", "SIGSEGV"] as const;

/**
 * Runs `act` while this thread takes no signals; they come afterwards. The verifier gives up with
 * EAGAIN when one is pending (do_check() in kernel/bpf/verifier.c), which a profiler's timer sends
 * more often than a large program takes.
 */
export function withSignalsBlocked<T>(act: () => T): T {
  const before = new Uint8Array(SIGSET_BYTES);
  setMask(blocked(), before);
  try {
    return act();
  } finally {
    setMask(before, null);
  }
}

function setMask(mask: Uint8Array, before: Uint8Array | null): void {
  const result = libc().pthread_sigmask(SIG_SETMASK, mask, before);
  checkResult(-result, { operation: "set signal mask", object: "of this thread" });
}

function blocked(): Uint8Array {
  const mask = new Uint8Array(SIGSET_BYTES).fill(0xff);
  for (const name of SYNCHRONOUS) {
    const bit = constants.signals[name] - 1;
    mask[bit >> 3] = (mask[bit >> 3] ?? 0) & ~(1 << (bit & 7));
  }
  return mask;
}
