/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CONNECT_PROGRAMS_H
#define TUPLEWATCH_CONNECT_PROGRAMS_H

/*
 * Counts each connect() of a TCP or UDP socket, and tells of those that are wanted.
 *
 * The cgroup hooks see an attempt begin, in the process that makes it. What becomes of it is told
 * by the TCP state once the attempt has left the call (inet_sock_set_state), else by the call's
 * return value: fexit of inet_stream_connect and inet_dgram_connect, which also covers io_uring,
 * or where fexit is refused the connect system call (system_call.h).
 *
 * Whoever takes an attempt owns it, so that it is reported exactly once, when the socket is closed
 * at the latest.
 */
#include "event.h"
#include "return_value.h"
#include "system_call.h"

/* Until a TCP attempt is made whose return value cannot be seen, closed sockets need no look. */
bool some_without_return = false;

static const struct connect_event *unused_connect_event __attribute__((unused, used));

static __always_inline void describe(struct bpf_sock_addr *ctx, struct attempt *attempt)
{
	__u64 id = bpf_get_current_pid_tgid();

	attempt->start_ns = bpf_ktime_get_boot_ns();
	attempt->sk = (__u64)ctx->sk;
	attempt->netns_cookie = bpf_get_netns_cookie(ctx);
	attempt->cgroup_id = bpf_get_current_cgroup_id();
	attempt->process.pid = id >> 32;
	attempt->process.uid = (__u32)bpf_get_current_uid_gid();
	bpf_get_current_comm(attempt->process.comm, sizeof(attempt->process.comm));
	attempt->protocol = ctx->protocol;
	attempt->family = ctx->family;
	attempt->has_conflict = 0;
	attempt->port_search_ns = 0;
	attempt->peer.port = bpf_ntohs((__u16)ctx->user_port);
	attempt->bound.port = ctx->sk->src_port;
}

/* An attempt of the socket, or NULL (and counted): there is no room. */
static __always_inline struct attempt *begin_attempt(struct bpf_sock_addr *ctx)
{
	struct attempt *attempt = new_attempt(ctx);

	if (!attempt) {
		count(attempted);
		count(lost);
		return NULL;
	}
	describe(ctx, attempt);
	return attempt;
}

static __always_inline void finish_hook(
	struct bpf_sock_addr *ctx, __u64 cookie, struct attempt *attempt)
{
	find_udp_conflict(ctx, cookie, attempt);
	attempt->return_expected = return_expected(cookie);
	open_attempt(attempt);
	if (attempt->return_expected)
		return;
	if (attempt->protocol == IPPROTO_UDP)
		resolve(ref_in_hook(ctx, cookie), ERROR_UNKNOWN, INFERRED_RESULT, false);
	else
		some_without_return = true;
}

static __always_inline bool watched(struct bpf_sock_addr *ctx)
{
	return ctx->sk && (ctx->protocol == IPPROTO_TCP || ctx->protocol == IPPROTO_UDP);
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct attempt *attempt;

	if (!watched(ctx))
		return 1;
	attempt = begin_attempt(ctx);
	if (!attempt)
		return 1;
	set_ipv4(&attempt->peer, ctx->user_ip4);
	set_ipv4(&attempt->bound, ctx->sk->src_ip4);
	attempt->bound_address = ctx->sk->src_ip4 != 0;
	finish_hook(ctx, cookie, attempt);
	return 1;
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct attempt *attempt;
	__u32 *peer, *bound;

	if (!watched(ctx))
		return 1;
	attempt = begin_attempt(ctx);
	if (!attempt)
		return 1;
	peer = (__u32 *)attempt->peer.address;
	peer[0] = ctx->user_ip6[0];
	peer[1] = ctx->user_ip6[1];
	peer[2] = ctx->user_ip6[2];
	peer[3] = ctx->user_ip6[3];
	bound = (__u32 *)attempt->bound.address;
	bound[0] = ctx->sk->src_ip6[0];
	bound[1] = ctx->sk->src_ip6[1];
	bound[2] = ctx->sk->src_ip6[2];
	bound[3] = ctx->sk->src_ip6[3];
	attempt->bound_address = (bound[0] | bound[1] | bound[2] | bound[3]) != 0;
	finish_hook(ctx, cookie, attempt);
	return 1;
}

/* tcp_v4_connect() has failed, and the tracepoint is inside it: its return value tells why. */
static __always_inline void handle_failed_call(socket_ref ref, struct sock *sk)
{
	struct attempt *attempt = find_attempt(ref);

	if (!attempt || attempt->return_expected)
		return;
	/* Without a port inet_hash_connect() has failed, for want of one. */
	resolve(ref, sk->__sk_common.skc_num ? ERROR_UNKNOWN : EADDRNOTAVAIL, INFERRED_RESULT,
		false);
}

/*
 * The end of a TCP attempt. SYN_RECV is entered from SYN_SENT by a simultaneous open (RFC 9293,
 * section 3.5), for example a socket that connects to itself; the SYN_RECV of an accepted child
 * has no struct socket yet and is none of ours.
 */
static __always_inline void handle_set_state(struct sock *sk, int from, int to)
{
	socket_ref ref;

	if (from == TCP_SYN_SENT ? to == TCP_SYN_RECV : from != TCP_SYN_RECV)
		return;
	if (from == TCP_SYN_RECV && !sk->sk_socket)
		return;
	ref = ref_of(sk);
	if (to != TCP_CLOSE)
		resolve(ref, 0, 0, true);
	else if (sk->sk_err)
		resolve(ref, sk->sk_err, 0, true);
	/* __inet_stream_connect() sets SS_CONNECTING only after tcp_v4_connect() has succeeded. */
	else if (BPF_CORE_READ(sk, sk_socket, state) == SS_UNCONNECTED)
		handle_failed_call(ref, sk);
	else
		resolve(ref, ECANCELED, 0, true);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(set_state, struct sock *sk, int from, int to)
{
	handle_set_state(sk, from, to);
	return 0;
}

/*
 * Attempts that failed before any change of state, where no return value was to be seen. For
 * sockets of the kernel itself, which have no cgroup hook.
 */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(destroy_sock, struct sock *sk)
{
	if (some_without_return)
		resolve(ref_of(sk), ERROR_UNKNOWN, INFERRED_RESULT | INFERRED_DURATION_NS, false);
	return 0;
}

/*
 * The last process closes a socket. An attempt that is still there was told by nobody: a kernel
 * that preempts programs skips those of tracepoints and fexit on a CPU on which one of them is not
 * finished (__bpf_trace_run and __bpf_prog_enter_recur, 7.2), but no cgroup hook.
 */
SEC("cgroup/sock_release")
int release_socket(struct bpf_sock *ctx)
{
	socket_ref ref = ref_in_release(ctx);
	struct attempt *attempt = find_attempt(ref);
	struct sock *sk;

	if (!attempt)
		return 1;
	sk = (struct sock *)attempt->sk;
	if (is_connected(attempt))
		resolve(ref, 0, INFERRED_RESULT | INFERRED_DURATION_NS, true);
	else if (BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_CLOSE)
		resolve(ref, ERROR_UNKNOWN, INFERRED_RESULT | INFERRED_DURATION_NS, false);
	else
		resolve(ref, ECANCELED, 0, true);
	return 1;
}

SEC("fexit/inet_stream_connect")
int BPF_PROG(
	exit_stream_connect, struct socket *sock, void *address, int length, int flags, int ret)
{
	struct sock *sk = sock->sk;

	if (sk)
		resolve_return(ref_of(sk), ret);
	return 0;
}

SEC("fexit/inet_dgram_connect")
int BPF_PROG(exit_dgram_connect, struct socket *sock, void *address, int length, int flags, int ret)
{
	struct sock *sk = sock->sk;

	if (sk)
		resolve_return(ref_of(sk), ret);
	return 0;
}

/* Of IPv4 and IPv6; of the arguments, which differ between kernels, the second is the same in all.
 */
SEC("fexit/__inet_hash_connect")
int BPF_PROG(exit_hash_connect, void *death_row, struct sock *sk)
{
	struct attempt *attempt = find_attempt(ref_of(sk));

	if (attempt && !attempt->bound.port)
		attempt->port_search_ns = bpf_ktime_get_boot_ns() - attempt->start_ns;
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#endif
