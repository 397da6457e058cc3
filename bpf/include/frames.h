/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_FRAMES_H
#define TUPLEWATCH_FRAMES_H

/*
 * At a function's return a kretprobe is given no arguments, so they are kept by the address of the
 * function's stack frame: no two calls under way can have the same one, whatever interrupts what
 * and on whichever CPU they go on. A return that the kernel missed (its pool of return probes was
 * empty) leaves an entry behind, which the next call in that place overwrites.
 */

#include "kernel.h"

/*
 * The stack pointer as it is when the function has returned. On x86 the call pushes the return
 * address; elsewhere that is in a register.
 */
#if defined(__TARGET_ARCH_x86)
#define RETURN_ADDRESS_BYTES 8
#else
#define RETURN_ADDRESS_BYTES 0
#endif

static __always_inline __u64 frame_at_entry(struct pt_regs *ctx)
{
	return PT_REGS_SP(ctx) + RETURN_ADDRESS_BYTES;
}

static __always_inline __u64 frame_at_return(struct pt_regs *ctx)
{
	return PT_REGS_SP(ctx);
}

#endif
