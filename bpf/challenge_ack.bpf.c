// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * One event for each segment that a TCP connection answers with a challenge ACK (RFC 5961), or
 * would have answered if a rate limiter had not held the ACK back; and one for what becomes of
 * each connection that was challenged.
 */
#include "challenge_outcome.h"

static const struct challenge_ack_event *unused_challenge_ack_event __attribute__((unused, used));

/* What a backend knows of one challenged segment; the event is the same whatever the backend. */
struct challenge {
	__u64 socket_cookie;
	__u32 inferred;
	__u32 seq;
	__u32 ack;
	__u8 has_segment;
	__u8 trigger;
	__u8 sent;
};

/* Set before load: 1 / HZ. The configuration that could tell HZ is not there to read everywhere. */
const volatile __u64 config_jiffy_ns = 4000000;

/*
 * How long nothing had come when the challenged segment did: keepalive_time_elapsed(). Neither time
 * is that of the segment itself: lrcvtime moves in tcp_event_data_recv(), and rcv_tstamp in
 * tcp_ack() once it has found the ACK acceptable; both come after tcp_validate_incoming() and after
 * the checks for which tcp_ack() challenges or returns an ACK as unacceptable (5.10 to 7.2).
 */
static __always_inline __u64 idle_ns(struct sock *sk)
{
	struct inet_connection_sock *icsk = (struct inet_connection_sock *)sk;
	__u32 now = (__u32)bpf_jiffies64();
	__u32 since_data = now - BPF_CORE_READ(icsk, icsk_ack.lrcvtime);
	__u32 since_ack = now - BPF_CORE_READ((struct tcp_sock *)sk, rcv_tstamp);

	return (since_data < since_ack ? since_data : since_ack) * config_jiffy_ns;
}

static __always_inline struct challenge_ack_event *reserve_challenge(
	const struct challenge *challenge)
{
	struct challenge_ack_event *event;

	event = reserve_event(sizeof(*event), EVENT_CLASS_FAULT);
	if (!event)
		return NULL;
	__builtin_memset(event, 0, sizeof(*event));
	event->head.time_ns = bpf_ktime_get_boot_ns();
	event->head.cpu = bpf_get_smp_processor_id();
	event->head.type = EVENT_TYPE_CHALLENGE_ACK;
	event->head.inferred = challenge->inferred;
	event->socket_cookie = challenge->socket_cookie;
	event->has_segment = challenge->has_segment;
	event->seq = challenge->seq;
	event->ack = challenge->ack;
	event->trigger = challenge->trigger;
	event->sent = challenge->sent;
	return event;
}

static __noinline void handle_challenge(struct sock *sk, const struct challenge *challenge)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	struct challenge_ack_event *event;

	track_challenge(sk, challenge->socket_cookie);
	event = reserve_challenge(challenge);
	if (!event)
		return;
	read_netns(&event->head, sock_net(sk));
	read_opener(&event->head, sk);
	read_endpoints(&event->local, &event->peer, sk);
	event->rcv_nxt = BPF_CORE_READ(tp, rcv_nxt);
	event->snd_una = BPF_CORE_READ(tp, snd_una);
	event->tcp_state = BPF_CORE_READ(sk, __sk_common.skc_state);
	event->has_idle = 1;
	event->idle_ns = idle_ns(sk);
	submit_event(event);
}

#include "challenge_ack_drop.h"
#include "challenge_ack_function.h"
#include "challenge_ack_paws.h"
#include "challenge_ack_request.h"

/*
 * A socket connects or listens in its process's own context. The cookie is given here because a
 * kprobe can only read it; tracing programs may ask for one since 5.12 (c5dbb89fc2ac).
 */
static __always_inline void handle_open(struct sock *sk)
{
	remember_owner(sk);
	if (config_owner_by_address && LINUX_KERNEL_VERSION >= KERNEL_VERSION(5, 12, 0))
		bpf_get_socket_cookie(sk);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(set_state, struct sock *sk, int from, int to)
{
	if (to == TCP_CLOSE)
		end_challenge(sk);
	else if (to == TCP_SYN_SENT || to == TCP_LISTEN)
		handle_open(sk);
	else if (to == TCP_ESTABLISHED && config_owner_by_address &&
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
