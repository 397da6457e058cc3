/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_STALE_FLOW_KPROBE_H
#define TUPLEWATCH_STALE_FLOW_KPROBE_H

/* The kprobe backend. */

#include "frames.h"
#include "handlers.h"

#define MAX_CONFIRMING 1024

/* A kprobe can only read a cookie: each new socket is given one (5.7, 0e53d9e5e8d2). */
SEC("cgroup/sock_create")
int give_cookie(struct bpf_sock *sk)
{
	bpf_get_socket_cookie(sk);
	return 1;
}

static __always_inline void send_at(struct sent_key *key, struct sock *sk)
{
	struct netns_ids netns;

	read_netns_ids(&netns, sock_net(sk));
	handle_send(key, sk, socket_identity(sk), &netns);
}

SEC("kprobe")
int BPF_KPROBE(kprobe_udp_send, struct sk_buff *skb, struct flowi4 *flow)
{
	struct sock *sk = BPF_CORE_READ(skb, sk);
	struct sent_key key = {};

	if (!sk)
		return 0;
	key_of_udp_v4(&key.flow, flow);
	send_at(&key, sk);
	return 0;
}

SEC("kprobe")
int BPF_KPROBE(kprobe_udp_send_v6, struct sk_buff *skb, struct flowi6 *flow)
{
	struct sock *sk = BPF_CORE_READ(skb, sk);
	struct sent_key key = {};

	if (!sk)
		return 0;
	key_of_udp_v6(&key.flow, flow);
	send_at(&key, sk);
	return 0;
}

SEC("kretprobe")
int BPF_KRETPROBE(kretprobe_udp_send)
{
	handle_sent();
	return 0;
}

SEC("kretprobe")
int BPF_KRETPROBE(kretprobe_udp_send_v6)
{
	handle_sent();
	return 0;
}

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_CONFIRMING);
	__type(key, __u64);
	__type(value, struct sk_buff *);
} confirming SEC(".maps");

SEC("kprobe")
int BPF_KPROBE(kprobe_confirm, struct sk_buff *skb)
{
	__u64 frame = frame_at_entry(ctx);

	if (is_local_udp(skb))
		bpf_map_update_elem(&confirming, &frame, &skb, BPF_ANY);
	return 0;
}

SEC("kretprobe")
int BPF_KRETPROBE(kretprobe_confirm, int verdict)
{
	__u64 frame = frame_at_return(ctx);
	struct sk_buff **found = bpf_map_lookup_elem(&confirming, &frame);
	struct sk_buff *skb;

	if (!found)
		return 0;
	skb = *found;
	bpf_map_delete_elem(&confirming, &frame);
	if (verdict != NF_DROP && is_local_udp(skb))
		handle_confirmed(skb);
	return 0;
}

#endif
