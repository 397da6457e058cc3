/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_PORT_BIND_SYSTEM_CALL_H
#define TUPLEWATCH_PORT_BIND_SYSTEM_CALL_H

/*
 * The backend for hosts without trampolines and kprobes: the system calls' results, and the socket
 * from the thread's registers (bpf_task_pt_regs(), 5.15) and its table of files. Calls through
 * io_uring are not seen. Where the tracepoints of single calls cannot be attached, that of all
 * does.
 */

#include "any_call.h"
#include "request.h"
#include "socket_record.h"

/* Of a descriptor with which a socket's call has just come back; NULL if it is another one by now.
 */
static __always_inline struct sock *socket_at(struct task_struct *task, __u32 fd)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **at = BPF_CORE_READ(table, fd);
	struct file *file = NULL;
	struct socket *sock;
	struct sock *sk;
	__u16 family;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), at + fd);
	sock = BPF_CORE_READ(file, private_data);
	if (!file || BPF_CORE_READ(sock, file) != file)
		return NULL;
	sk = BPF_CORE_READ(sock, sk);
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	return family == AF_INET || family == AF_INET6 ? sk : NULL;
}

static __always_inline struct sock *socket_of_call(struct pt_regs *regs)
{
	return socket_at((struct task_struct *)bpf_get_current_task(), first_argument(regs));
}

static __always_inline void exit_of_bind_call(struct pt_regs *regs, long ret)
{
	struct asked_address asked = {};
	struct sock *sk = socket_of_call(regs);

	if (!sk)
		return;
	bpf_probe_read_user(&asked, sizeof(asked), (void *)second_argument(regs));
	handle_bind(sk, &asked, ret);
}

static __always_inline void exit_of_listen_call(struct pt_regs *regs, long ret)
{
	struct sock *sk = socket_of_call(regs);

	if (sk)
		handle_listen(sk, ret);
}

/* EAGAIN is also what a full buffer gives, but then the socket has a port (inet_send_prepare()). */
static __always_inline void exit_of_send_call(struct pt_regs *regs, long ret)
{
	struct sock *sk = socket_of_call(regs);

	if (sk && BPF_CORE_READ(sk, sk_protocol) == IPPROTO_UDP &&
		!BPF_CORE_READ(sk, __sk_common.skc_num))
		handle_autobind(sk, ret, false);
}

static __always_inline struct pt_regs *registers(void)
{
	return (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
}

SEC("tracepoint/syscalls/sys_exit_bind")
int exit_bind_call(struct trace_event_raw_sys_exit *ctx)
{
	exit_of_bind_call(registers(), ctx->ret);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_listen")
int exit_listen_call(struct trace_event_raw_sys_exit *ctx)
{
	exit_of_listen_call(registers(), ctx->ret);
	return 0;
}

static __always_inline int exit_of_any_send(long ret)
{
	if (ret == -EAGAIN)
		exit_of_send_call(registers(), ret);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_sendto")
int exit_sendto_call(struct trace_event_raw_sys_exit *ctx)
{
	return exit_of_any_send(ctx->ret);
}

SEC("tracepoint/syscalls/sys_exit_sendmsg")
int exit_sendmsg_call(struct trace_event_raw_sys_exit *ctx)
{
	return exit_of_any_send(ctx->ret);
}

SEC("tracepoint/syscalls/sys_exit_sendmmsg")
int exit_sendmmsg_call(struct trace_event_raw_sys_exit *ctx)
{
	return exit_of_any_send(ctx->ret);
}

static __always_inline bool is_send(long number)
{
	return number == CALL_SENDTO || number == CALL_SENDMSG || number == CALL_SENDMMSG;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(exit_any_call, struct pt_regs *regs, long ret)
{
	long number = call_number(regs);

	if (number == CALL_BIND && !is_32_bit_call(regs))
		exit_of_bind_call(regs, ret);
	else if (number == CALL_LISTEN && !is_32_bit_call(regs))
		exit_of_listen_call(regs, ret);
	else if (ret == -EAGAIN && is_send(number) && !is_32_bit_call(regs))
		exit_of_send_call(regs, ret);
	return 0;
}

/*
 * Whether the socket's port was noted before: bind() to a port or an address locks that
 * (inet_bind()), connect() gives it an address. What is left is bind() to nothing; that entry may
 * not be one of an earlier socket in the same memory, which got the same port by a datagram.
 */
static __noinline bool is_bound(struct sock *sk)
{
	__u8 locks = BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks);
	const __u32 *address;
	struct port_opener *opener;
	struct port_key key = {};

	if (locks & (SOCK_BINDADDR_LOCK | SOCK_BINDPORT_LOCK))
		return true;
	port_key_of(&key, sk, IPPROTO_UDP, false);
	address = (const __u32 *)key.local.address;
	if (address[0] || address[1] || address[3])
		return true;
	opener = find_opener(&key);
	return opener && opener->is_bound && opener->sk == (__u64)sk;
}

/* The first datagram of a socket without connect(): it has a port by now. */
static __always_inline int note_sender(struct bpf_sock_addr *ctx)
{
	struct socket_record *record;
	struct sock *sk;

	if (!ctx->sk || ctx->protocol != IPPROTO_UDP)
		return 1;
	record = bpf_sk_storage_get(&socket_records, ctx->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!record || record->noted_sk)
		return 1;
	/* The verifier forbids reading the socket by offset; through a map it is a plain address.
	 */
	*(volatile __u64 *)&record->noted_sk = (__u64)ctx->sk;
	sk = (struct sock *)*(volatile __u64 *)&record->noted_sk;
	bpf_get_socket_cookie(ctx);
	if (!is_bound(sk))
		handle_autobind(sk, 0, false);
	return 1;
}

SEC("cgroup/sendmsg4")
int first_datagram(struct bpf_sock_addr *ctx)
{
	return note_sender(ctx);
}

SEC("cgroup/sendmsg6")
int first_datagram_v6(struct bpf_sock_addr *ctx)
{
	return note_sender(ctx);
}

#endif
