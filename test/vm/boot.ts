import type { GuestResult } from "./guest.ts";

type Result = Pick<GuestResult, "bootMs" | "ending" | "oops">;

/**
 * Whether a guest may be booted once more: only where what ended it says nothing of what is tested.
 * Debian's kernels sometimes panic while they boot under emulation; one that panics or hangs later may
 * have been brought to it by a test.
 */
export function mayBootAgain(result: Result): boolean {
  const hasFailed = result.ending === "hung" || result.ending === "panicked";
  return hasFailed && (result.bootMs === undefined || isEmulatorsOwn(result));
}

/**
 * A breakpoint that nobody owns. The kernel puts one where it changes its own code, and takes it away
 * when all CPUs have seen the change (text_poke_bp_batch(), arch/x86/kernel/alternative.c); an
 * emulated CPU may come upon it later still, out of code that it has translated before
 * (exc_int3() then dies, arch/x86/kernel/traps.c). Nothing that is tested has breakpoints of its own.
 */
function isEmulatorsOwn({ oops }: Result): boolean {
  return /\bint3: 0000\b/.test(oops[0] ?? "");
}
