// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * One event for each segment that a TCP connection answers with a challenge ACK (RFC 5961), or
 * would have answered if a rate limiter had not held the ACK back; and one for what becomes of
 * each connection that was challenged.
 */
#include "drop.h"
#include "function.h"
#include "paws.h"
#include "request.h"

static const struct challenge_ack_event *unused_challenge_ack_event __attribute__((unused, used));

/*
 * A socket connects or listens in its process's own context. The cookie is given here because a
 * kprobe can only read it; tracing programs may ask for one since 5.12 (c5dbb89fc2ac).
 */
static __always_inline void handle_open(struct sock *sk)
{
	remember_owner(sk);
	if (config_by_address && LINUX_KERNEL_VERSION >= KERNEL_VERSION(5, 12, 0))
		bpf_get_socket_cookie(sk);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(set_state, struct sock *sk, int from, int to)
{
	if (to == TCP_CLOSE)
		end_challenge(sk);
	else if (to == TCP_SYN_SENT || to == TCP_LISTEN)
		handle_open(sk);
	else if (to == TCP_ESTABLISHED && config_by_address &&
		 LINUX_KERNEL_VERSION >= KERNEL_VERSION(5, 12, 0))
		bpf_get_socket_cookie(sk);
	return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(destroy_sock, struct sock *sk)
{
	end_challenge(sk);
	forget_owner(sk);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
