// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * One event for each UDP socket that sends on a tuple whose conntrack entry was made for another
 * socket, which is gone: the datagrams take the way that the NAT rules gave the old flow, since
 * rules are looked at for the first packet of an entry only.
 *
 * Datagrams are seen where all of UDP's pass, be the socket connected, corked, bound or none of
 * these, with the tuple that conntrack is about to look up: udp_send_skb() and udp_v6_send_skb(),
 * called by udp_sendmsg, udpv6_sendmsg and the push of pending frames (5.10 to 7.2). The cgroup
 * hooks of connect and sendmsg would miss the port of a socket that is bound by connect itself.
 *
 * TCP is left out: conntrack itself drops the entry of a closed connection when a SYN comes and
 * looks the packet up anew (nf_conntrack_tcp_packet: nf_ct_kill and NF_REPEAT), and a SYN on the
 * entry of a connection that the other side still has is answered with a challenge ACK.
 */
#include "handlers.h"
#include "kprobe.h"
#include "socket_record.h"

static const struct stale_flow_reuse_event *unused_event __attribute__((unused, used));

static __always_inline void check_datagram(struct sock *sk, struct sent_key *key)
{
	__u64 socket = bpf_get_socket_cookie(sk);
	struct netns_ids netns;

	load_netns_ids(&netns, sk);
	handle_send(key, sk, socket, &netns);
}

/* For a socket on a flow that it was seen to send on lately, no more than a look at its record. */
SEC("fentry/udp_send_skb")
int BPF_PROG(enter_udp_send, struct sk_buff *skb, struct flowi4 *flow)
{
	struct socket_record *record;
	struct sock *sk = skb->sk;
	struct sent_key key = {};

	if (!sk)
		return 0;
	load_udp_key_v4(&key.flow, flow);
	record = bpf_sk_storage_get(&socket_records, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (record && is_marked(&record->reuse_checked, &key.flow))
		return 0;
	check_datagram(sk, &key);
	if (record)
		set_mark(&record->reuse_checked, &key.flow);
	return 0;
}

/* Without the record, for IPv6 may be a module: see socket_record.h. */
SEC("fentry/udp_v6_send_skb")
int BPF_PROG(enter_udp_send_v6, struct sk_buff *skb, struct flowi6 *flow)
{
	struct sock *sk = skb->sk;
	struct sent_key key = {};

	if (!sk)
		return 0;
	load_udp_key_v6(&key.flow, flow);
	check_datagram(sk, &key);
	return 0;
}

SEC("fexit/udp_send_skb")
int BPF_PROG(exit_udp_send)
{
	handle_sent();
	return 0;
}

SEC("fexit/udp_v6_send_skb")
int BPF_PROG(exit_udp_send_v6)
{
	handle_sent();
	return 0;
}

SEC("fexit/__nf_conntrack_confirm")
int BPF_PROG(exit_confirm, struct sk_buff *skb, int verdict)
{
	struct sock *sk = skb->sk;

	/* A request socket, which has no such field, has no flow in `sent_flows` either. */
	if (sk && sk->sk_protocol == IPPROTO_UDP && verdict != NF_DROP && is_local_udp(skb))
		handle_confirmed(skb);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
