/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CHALLENGE_H
#define TUPLEWATCH_CHALLENGE_H

/* What every backend makes of a challenged segment: one event, and a connection to follow. */

#include "outcome.h"

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
	const struct challenge *challenge, struct sock *owner)
{
	struct challenge_ack_event *event;

	event = reserve_event(sizeof(*event), EVENT_CLASS_FAULT, sock_cgroup_id(owner));
	if (!event)
		return NULL;
	__builtin_memset(event, 0, sizeof(*event));
	event->head.time_ns = bpf_ktime_get_boot_ns();
	event->head.cpu = bpf_get_smp_processor_id();
	label_event(&event->head, EVENT_TYPE_CHALLENGE_ACK);
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
	event = reserve_challenge(challenge, sk);
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

#endif
