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

/* Frames are an LRU hash map by frame_at_entry(): who calls and never returns gives way. */
static __always_inline void push_frame(struct pt_regs *ctx, void *frames, const void *frame)
{
	__u64 key = frame_at_entry(ctx);

	bpf_map_update_elem(frames, &key, frame, BPF_ANY);
}

/* False where the call began before the probe was attached, or its frame had to give way. */
static __always_inline bool pop_frame(
	struct pt_regs *ctx, void *frames, void *frame, const __u32 bytes)
{
	__u64 key = frame_at_return(ctx);
	const void *found = bpf_map_lookup_elem(frames, &key);

	if (!found)
		return false;
	__builtin_memcpy(frame, found, bytes);
	bpf_map_delete_elem(frames, &key);
	return true;
}

#endif
