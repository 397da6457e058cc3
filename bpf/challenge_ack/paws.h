/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CHALLENGE_ACK_PAWS_H
#define TUPLEWATCH_CHALLENGE_ACK_PAWS_H

/*
 * Before 6.4 (ee05d90d0ac7) a SYN whose timestamp is older than the connection's is no challenge:
 * PAWS (RFC 7323, section 5) comes first and answers by tcp_send_dupack(). The sender of the SYN
 * resets what that acknowledges all the same, and timestamps of two connections have nothing to do
 * with each other, so this befalls every other colliding SYN.
 *
 * The socket's limiter is asked before the call (tcp_validate_incoming, 5.10 and 6.1): what is seen
 * here is sent, and what it holds back is not seen. From 6.4 on no SYN gets here.
 */

#include "segment.h"

static __always_inline void handle_dupack(struct sock *sk, struct sk_buff *skb, __u64 socket_cookie)
{
	struct challenge challenge = {
		.socket_cookie = socket_cookie,
		.trigger = TRIGGER_PAWS,
		.sent = SENT_YES,
	};
	struct segment segment = {};

	read_segment(&segment, skb);
	name_segment(&challenge, &segment);
	handle_challenge(sk, &challenge);
}

static __always_inline bool is_syn(struct sk_buff *skb)
{
	return BPF_CORE_READ(tcp_cb(skb), tcp_flags) & TCP_FLAG_SYN;
}

SEC("fentry/tcp_send_dupack")
int BPF_PROG(fentry_dupack, struct sock *sk, struct sk_buff *skb)
{
	if (is_syn(skb))
		handle_dupack(sk, skb, bpf_get_socket_cookie(sk));
	return 0;
}

SEC("kprobe")
int BPF_KPROBE(kprobe_dupack, struct sock *sk, struct sk_buff *skb)
{
	if (is_syn(skb))
		handle_dupack(sk, skb, sock_cookie(sk));
	return 0;
}

#endif
