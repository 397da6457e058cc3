/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CHALLENGE_ACK_SEGMENT_H
#define TUPLEWATCH_CHALLENGE_ACK_SEGMENT_H

/*
 * Segments that may be challenged, noted before TCP looks at them, with what the socket had sent
 * until then:
 *
 * RST, SYN, and ACKs outside of what was sent and not acknowledged, the only ones for which
 * tcp_validate_incoming(), tcp_ack() and tcp_rcv_state_process() challenge (5.10 to 7.2):
 *
 * - with ESTABLISHED at the tracepoint tcp_probe, with which tcp_rcv_established() begins;
 * - in other states in tcp_validate_incoming(), if the backend can be there.
 *
 * Each challenge comes after the note of its own segment (tcp_validate_incoming, tcp_ack and
 * tcp_rcv_state_process; 5.10 to 7.2), so an old note is never read and need not be deleted.
 */

#include "challenge.h"

#define MAX_SEGMENTS 8192

/* Of the header: RFC 9293, section 3.1. */
#define TCP_FLAG_SYN 0x02
#define TCP_FLAG_RST 0x04

/* By address of the struct sock, where a program knows it by that only. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_SEGMENTS);
	__type(key, __u64);
	__type(value, struct segment);
} segments SEC(".maps");

static __always_inline struct tcp_skb_cb *tcp_cb(struct sk_buff *skb)
{
	return (struct tcp_skb_cb *)__builtin_preserve_access_index(&skb->cb);
}

static __always_inline void read_segment(struct segment *segment, struct sk_buff *skb)
{
	segment->seq = BPF_CORE_READ(tcp_cb(skb), seq);
	segment->ack = BPF_CORE_READ(tcp_cb(skb), ack_seq);
	segment->flags = BPF_CORE_READ(tcp_cb(skb), tcp_flags) & (TCP_FLAG_SYN | TCP_FLAG_RST);
}

static __always_inline void name_segment(struct challenge *challenge, const struct segment *segment)
{
	challenge->has_segment = true;
	challenge->seq = segment->seq;
	challenge->ack = segment->ack;
}

/* Which segment came last that may be challenged; NULL: none that was noted. */
static __always_inline struct segment *find_segment(struct sock *sk)
{
	struct socket_record *record;
	__u64 key = (__u64)sk;

	if (config_by_address)
		return bpf_map_lookup_elem(&segments, &key);
	record = bpf_sk_storage_get(&socket_records, sk, NULL, 0);
	return record && record->segment.is_noted ? &record->segment : NULL;
}

static __always_inline void keep_segment(struct sock *sk, const struct segment *segment)
{
	struct socket_record *record;
	__u64 key = (__u64)sk;

	if (config_by_address) {
		bpf_map_update_elem(&segments, &key, segment, BPF_ANY);
		return;
	}
	record = bpf_sk_storage_get(&socket_records, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (record)
		record->segment = *segment;
}

static __always_inline bool before(__u32 left, __u32 right)
{
	return (__s32)(left - right) < 0;
}

/*
 * Note a segment that may be challenged. Runs for each one that a connection receives: hence plain
 * loads, which a program's arguments permit, in place of calls of a helper.
 */
static __always_inline void note_segment(struct sock *sk, struct sk_buff *skb)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct segment segment = {.is_noted = 1};
	struct tcp_skb_cb *cb = tcp_cb(skb);

	if (!tp)
		return;
	segment.flags = cb->tcp_flags & (TCP_FLAG_SYN | TCP_FLAG_RST);
	segment.ack = cb->ack_seq;
	if (!segment.flags && !before(segment.ack, tp->snd_una) &&
		!before(tp->snd_nxt, segment.ack))
		return;
	segment.seq = cb->seq;
	segment.segs_out = tp->segs_out;
	segment.last_ack_jiffies = tp->last_oow_ack_time;
	keep_segment(sk, &segment);
}

SEC("tp_btf/tcp_probe")
int BPF_PROG(note_established, struct sock *sk, struct sk_buff *skb)
{
	note_segment(sk, skb);
	return 0;
}

/* tcp_validate_incoming() looks at RST first. */
static __always_inline __u8 trigger_of_segment(struct sock *sk, const struct segment *segment)
{
	if (segment->flags & TCP_FLAG_RST)
		return TRIGGER_RST;
	if (segment->flags & TCP_FLAG_SYN)
		return TRIGGER_SYN;
	if (before(segment->ack, BPF_CORE_READ((struct tcp_sock *)sk, snd_una)))
		return TRIGGER_ACK_TOO_OLD;
	if (before(BPF_CORE_READ((struct tcp_sock *)sk, snd_nxt), segment->ack))
		return TRIGGER_ACK_TOO_NEW;
	return TRIGGER_OTHER;
}

/*
 * Whether a challenge ACK has left since the socket had sent `segs_out` segments. If not, the
 * socket's own limiter stored the time of the ACK unless it held it back itself, and without a
 * limit it never does (__tcp_oow_rate_limited, 5.10 to 7.2).
 */
static __always_inline __u8 sent_since(struct sock *sk, __u32 segs_out, __u32 last_ack_jiffies)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	struct net *net = sock_net(sk);

	if (BPF_CORE_READ(tp, segs_out) != segs_out)
		return SENT_YES;
	if (BPF_CORE_READ(tp, last_oow_ack_time) != last_ack_jiffies ||
		!BPF_CORE_READ(net, ipv4.sysctl_tcp_invalid_ratelimit))
		return SENT_NETNS_LIMITED;
	return SENT_SOCKET_LIMITED;
}

#endif
