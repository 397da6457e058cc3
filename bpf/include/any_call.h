/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_ANY_CALL_H
#define TUPLEWATCH_ANY_CALL_H

/*
 * What programs on the tracepoints of all system calls (sys_enter, sys_exit) ask of a call. One of
 * 32 bits has other numbers and arguments: the tracepoints of single calls leave it out, too
 * (trace_get_syscall_nr() in kernel/trace/trace_syscalls.c).
 */

#include "kernel.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

#if defined(__TARGET_ARCH_x86)

/* arch/x86/entry/syscalls/syscall_64.tbl */
#define CALL_CONNECT 42
#define CALL_SENDTO 44
#define CALL_SENDMSG 46
#define CALL_BIND 49
#define CALL_LISTEN 50
#define CALL_SENDMMSG 307
#define THREAD_IN_COMPAT 0x02 /* TS_COMPAT of arch/x86/include/asm/thread_info.h */

struct pt_regs___call {
	unsigned long orig_ax;
	unsigned long di;
	unsigned long si;
};

#elif defined(__TARGET_ARCH_arm64)

/* include/uapi/asm-generic/unistd.h */
#define CALL_BIND 200
#define CALL_LISTEN 201
#define CALL_CONNECT 203
#define CALL_SENDTO 206
#define CALL_SENDMSG 211
#define CALL_SENDMMSG 269
#define REGS_OF_32_BIT_MODE 0x10 /* PSR_MODE32_BIT of arch/arm64/include/uapi/asm/ptrace.h */

struct pt_regs___call {
	__u64 regs[31];
	__u64 pstate;
	__u64 orig_x0;
	int syscallno;
};

#else
#error "the numbers of system calls are known of x86 and arm64 only"
#endif

#pragma clang attribute pop

static __always_inline long call_number(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return ((struct pt_regs___call *)regs)->orig_ax;
#else
	return ((struct pt_regs___call *)regs)->syscallno;
#endif
}

/* Also at the end of a call: on arm64 the first register has the result by then. */
static __always_inline unsigned long first_argument(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return ((struct pt_regs___call *)regs)->di;
#else
	return ((struct pt_regs___call *)regs)->orig_x0;
#endif
}

static __always_inline unsigned long second_argument(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return ((struct pt_regs___call *)regs)->si;
#else
	return ((struct pt_regs___call *)regs)->regs[1];
#endif
}

static __always_inline bool is_32_bit_call(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	return BPF_CORE_READ(task, thread_info.status) & THREAD_IN_COMPAT;
#else
	return ((struct pt_regs___call *)regs)->pstate & REGS_OF_32_BIT_MODE;
#endif
}

#endif
