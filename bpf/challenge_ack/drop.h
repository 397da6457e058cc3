/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CHALLENGE_ACK_DROP_H
#define TUPLEWATCH_CHALLENGE_ACK_DROP_H

/*
 * The drop tracepoint as a backend: a challenged segment is freed with a reason of its own. The
 * socket is the tracepoint's fourth argument, so this needs Linux 6.11 (c53795d48ee8).
 */

#include "segment.h"

/* Newest kernels challenge an ACK of unsent data; until one is seen to, it is a silent drop. */
bool unsent_ack_is_challenged = false;

#define reason_is(reason, name)                                                                    \
	(bpf_core_enum_value_exists(enum skb_drop_reason, name) &&                                 \
		(reason) == (int)bpf_core_enum_value(enum skb_drop_reason, name))

static __always_inline __u8 trigger_of(int reason)
{
	if (reason_is(reason, SKB_DROP_REASON_TCP_INVALID_SYN))
		return TRIGGER_SYN;
	if (reason_is(reason, SKB_DROP_REASON_TCP_RESET))
		return TRIGGER_RST;
	if (reason_is(reason, SKB_DROP_REASON_TCP_TOO_OLD_ACK))
		return TRIGGER_ACK_TOO_OLD;
	if (reason_is(reason, SKB_DROP_REASON_TCP_ACK_UNSENT_DATA))
		return TRIGGER_ACK_TOO_NEW;
	return TRIGGER_OTHER;
}

/* States in which tcp_validate_incoming() and tcp_ack() challenge; SYN_RECV sends a reset. */
static __always_inline bool is_synchronised(__u8 state)
{
	return state == TCP_ESTABLISHED ||
	       (state > TCP_SYN_RECV && state != TCP_TIME_WAIT && state != TCP_CLOSE &&
		       state != TCP_LISTEN && state != TCP_NEW_SYN_RECV);
}

/*
 * Only an established connection's segments are noted beforehand, and without the note there is
 * nothing to compare with.
 */
static __always_inline __u8 sent_of(struct sock *sk, __u8 state)
{
	struct segment *noted = find_segment(sk);

	if (!noted || state != TCP_ESTABLISHED)
		return SENT_UNKNOWN;
	return sent_since(sk, noted->segs_out, noted->last_ack_jiffies);
}

/* Only FIN_WAIT1 and the like challenge any unacceptable ACK (tcp_rcv_state_process). */
static __always_inline bool is_challenged(__u8 trigger, __u8 state, __u8 sent)
{
	if (trigger != TRIGGER_ACK_TOO_NEW || state != TCP_ESTABLISHED)
		return true;
	if (sent == SENT_YES)
		unsent_ack_is_challenged = true;
	return unsent_ack_is_challenged;
}

static __always_inline void handle_drop(struct sk_buff *skb, struct sock *sk, __u8 trigger)
{
	struct challenge challenge = {.trigger = trigger};
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
	struct tcphdr *th;

	if (BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP || !is_synchronised(state))
		return;
	challenge.socket_cookie = bpf_get_socket_cookie(sk);
	challenge.sent = sent_of(sk, state);
	if (!is_challenged(trigger, state, challenge.sent))
		return;
	th = (struct tcphdr *)(BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, transport_header));
	challenge.has_segment = true;
	challenge.seq = bpf_ntohl(BPF_CORE_READ(th, seq));
	challenge.ack = bpf_ntohl(BPF_CORE_READ(th, ack_seq));
	handle_challenge(sk, &challenge);
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(drop_tracepoint, struct sk_buff *skb, void *location, int reason, struct sock *sk)
{
	__u8 trigger = trigger_of(reason);

	if (trigger != TRIGGER_OTHER && sk)
		handle_drop(skb, sk, trigger);
	return 0;
}

#endif
