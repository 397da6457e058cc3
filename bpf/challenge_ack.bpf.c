// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * One event for each segment that a TCP connection answers with a challenge ACK (RFC 5961), or
 * would have answered if a rate limiter had not held the ACK back.
 */
#include "emit.h"
#include "getters.h"

static const struct challenge_ack_event *unused_challenge_ack_event __attribute__((unused, used));

/* What a backend knows of one challenged segment; the event is the same whatever the backend. */
struct challenge {
	__u64 socket_cookie;
	__u8 trigger;
	__u8 sent;
	__u32 inferred;
	__u32 seq;
	__u32 ack;
};

static __always_inline void handle_challenge(struct sock *sk, const struct challenge *challenge)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	struct challenge_ack_event *event;

	event = reserve_event(sizeof(*event), EVENT_CLASS_FAULT);
	if (!event)
		return;
	__builtin_memset(event, 0, sizeof(*event));
	event->head.time_ns = bpf_ktime_get_boot_ns();
	event->head.cpu = bpf_get_smp_processor_id();
	event->head.type = EVENT_TYPE_CHALLENGE_ACK;
	event->head.inferred = challenge->inferred;
	read_netns(&event->head, sock_net(sk));
	read_socket_owner(&event->head, sk);
	event->socket_cookie = challenge->socket_cookie;
	read_endpoints(&event->local, &event->peer, sk);
	event->seq = challenge->seq;
	event->ack = challenge->ack;
	event->rcv_nxt = BPF_CORE_READ(tp, rcv_nxt);
	event->snd_una = BPF_CORE_READ(tp, snd_una);
	event->tcp_state = BPF_CORE_READ(sk, __sk_common.skc_state);
	event->trigger = challenge->trigger;
	event->sent = challenge->sent;
	submit_event(event);
}

#include "challenge_ack_drop.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";
