/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CONNECT_SYSTEM_CALL_H
#define TUPLEWATCH_CONNECT_SYSTEM_CALL_H

/*
 * Return values of connect() by its system call. The tracepoints of that call alone are attached by
 * a number from tracefs and a perf event; where either is refused, those of all system calls do,
 * which run for each of them.
 */
#include "any_call.h"
#include "return_value.h"

#define MAX_CALLS 16384

/*
 * connect() calls under way, by thread: the cookie of the socket whose attempt the call began.
 * Those that are forgotten first wait for long, and the TCP state tells their results.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_CALLS);
	__type(key, __u64);
	__type(value, __u64);
} calls SEC(".maps");

/* Tell whether a return value will be seen for the attempt that this thread begins. */
static __always_inline bool return_expected(__u64 cookie)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u64 *call;

	if (config_return_source != RETURN_SOURCE_SYSCALL)
		return config_return_source == RETURN_SOURCE_FEXIT;
	call = bpf_map_lookup_elem(&calls, &thread);
	if (!call)
		return false; /* io_uring, MSG_FASTOPEN or a socket of the kernel's own */
	*call = cookie;
	return true;
}

#ifndef ATTEMPTS_IN_SOCKETS
static __always_inline void handle_enter(unsigned long address)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u64 no_cookie = 0;
	__u16 family = 0;

	bpf_probe_read_user(&family, sizeof(family), (void *)address);
	if (family == AF_INET || family == AF_INET6)
		bpf_map_update_elem(&calls, &thread, &no_cookie, BPF_ANY);
}

static __always_inline void handle_exit(long ret)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u64 *call = bpf_map_lookup_elem(&calls, &thread);
	__u64 cookie;

	if (!call)
		return;
	cookie = *call;
	bpf_map_delete_elem(&calls, &thread);
	if (cookie)
		resolve_return(cookie, ret);
}

SEC("tracepoint/syscalls/sys_enter_connect")
int enter_connect(struct trace_event_raw_sys_enter *ctx)
{
	handle_enter(ctx->args[1]);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_connect")
int exit_connect(struct trace_event_raw_sys_exit *ctx)
{
	handle_exit(ctx->ret);
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(enter_any_call, struct pt_regs *regs, long number)
{
	if (number == CALL_CONNECT && !is_32_bit_call(regs))
		handle_enter(second_argument(regs));
	return 0;
}

/* A call of 32 bits with this number has not been entered above. */
SEC("tp_btf/sys_exit")
int BPF_PROG(exit_any_call, struct pt_regs *regs, long ret)
{
	if (call_number(regs) == CALL_CONNECT)
		handle_exit(ret);
	return 0;
}
#endif

#endif
