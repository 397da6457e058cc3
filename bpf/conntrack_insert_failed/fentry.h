/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CONNTRACK_FENTRY_H
#define TUPLEWATCH_CONNTRACK_FENTRY_H

/* The fentry backend: needs the BTF of module nf_conntrack (5.11), and pins the module. */

#include "socket_record.h"
#include "table_full.h"

SEC("fentry/nf_ct_resolve_clash")
int BPF_PROG(enter_resolve_clash, struct sk_buff *skb, struct nf_conntrack_tuple_hash *h)
{
	handle_clash_entry(skb, h);
	return 0;
}

SEC("fexit/nf_ct_resolve_clash")
int BPF_PROG(exit_resolve_clash, struct sk_buff *skb, struct nf_conntrack_tuple_hash *h,
	__u32 reply_hash, int verdict)
{
	handle_clash_exit(skb, verdict);
	return 0;
}

SEC("fexit/__nf_conntrack_confirm")
int BPF_PROG(exit_confirm, struct sk_buff *skb, int verdict)
{
	handle_confirm_exit(skb, verdict);
	return 0;
}

SEC("fentry/early_drop")
int BPF_PROG(enter_early_drop, struct net *net, unsigned int hash)
{
	handle_early_drop(net, hash);
	return 0;
}

SEC("fexit/__nf_conntrack_alloc")
int BPF_PROG(exit_alloc, struct net *net, const struct nf_conntrack_zone *zone,
	const struct nf_conntrack_tuple *original, const struct nf_conntrack_tuple *reply,
	unsigned int flags, __u32 hash, struct nf_conn *ct)
{
	struct allocation allocation = {net, zone, original, reply, hash};

	if (is_error((__u64)ct))
		handle_alloc_failed(&allocation);
	return 0;
}

SEC("fentry/tcp_connect")
int BPF_PROG(enter_tcp_connect, struct sock *sk)
{
	struct flow_key flow = {};
	struct netns_ids netns;

	load_tcp_key(&flow, sk);
	load_netns_ids(&netns, sk);
	note_sender(&flow, &netns);
	return 0;
}

/* For a socket on a flow that it was seen to send on lately, no more than a look at its record. */
SEC("fentry/udp_send_skb")
int BPF_PROG(enter_udp_send, struct sk_buff *skb, struct flowi4 *flow)
{
	struct socket_record *record;
	struct sock *sk = skb->sk;
	struct flow_key key = {};
	struct netns_ids netns;

	if (!sk)
		return 0;
	load_udp_key_v4(&key, flow);
	record = bpf_sk_storage_get(&socket_records, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (record && is_marked(&record->owner_noted, &key))
		return 0;
	load_netns_ids(&netns, sk);
	note_sender(&key, &netns);
	if (record)
		set_mark(&record->owner_noted, &key);
	return 0;
}

/* Without the record, for IPv6 may be a module: see socket_record.h. */
SEC("fentry/udp_v6_send_skb")
int BPF_PROG(enter_udp_send_v6, struct sk_buff *skb, struct flowi6 *flow)
{
	struct sock *sk = skb->sk;
	struct flow_key key = {};
	struct netns_ids netns;

	if (!sk)
		return 0;
	load_udp_key_v6(&key, flow);
	load_netns_ids(&netns, sk);
	note_datagram(&key, &netns);
	return 0;
}

#endif
