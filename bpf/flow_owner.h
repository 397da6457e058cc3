/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_FLOW_OWNER_H
#define TUPLEWATCH_FLOW_OWNER_H

/*
 * Who sends what: the tuple of a flow as it leaves its socket, and the process that sent it. A
 * packet that has crossed a veth, or is sent again by a timer, has lost its process; its tuple
 * still tells.
 */

#include "getters.h"

#define MAX_FLOW_OWNERS 32768

/* Without the namespace: that is the very thing the later reader does not know. */
struct flow_key {
	__u8 src[16];
	__u8 dst[16];
	__u16 src_port;
	__u16 dst_port;
	__u32 protocol;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_FLOW_OWNERS);
	__type(key, struct flow_key);
	__type(value, struct flow_owner);
} flow_owners SEC(".maps");

static __noinline void note_flow_owner(struct flow_key *key, struct sock *sk)
{
	struct net *net = sock_net(sk);
	__u64 id = bpf_get_current_pid_tgid();
	struct flow_owner owner = {};

	owner.time_ns = bpf_ktime_get_boot_ns();
	owner.netns_cookie = net_cookie(net);
	owner.netns_inum = BPF_CORE_READ(net, ns.inum);
	owner.cgroup_id = bpf_get_current_cgroup_id();
	owner.process.pid = id >> 32;
	owner.process.uid = (__u32)bpf_get_current_uid_gid();
	bpf_get_current_comm(owner.process.comm, sizeof(owner.process.comm));
	bpf_map_update_elem(&flow_owners, key, &owner, BPF_ANY);
}

/* Once for each connection. */
static __always_inline void handle_tcp_connect(struct sock *sk)
{
	struct endpoint local = {}, peer = {};
	struct flow_key key = {.protocol = IPPROTO_TCP};

	read_endpoints(&local, &peer, sk);
	__builtin_memcpy(key.src, local.address, sizeof(key.src));
	__builtin_memcpy(key.dst, peer.address, sizeof(key.dst));
	key.src_port = local.port;
	key.dst_port = peer.port;
	note_flow_owner(&key, sk);
}

/* Once for each datagram, so it writes only what is new: a lookup is all that most of them cost. */
static __always_inline void handle_udp_send(struct flow_key *key, struct sk_buff *skb)
{
	struct flow_owner *known = bpf_map_lookup_elem(&flow_owners, key);

	if (known && known->process.pid == bpf_get_current_pid_tgid() >> 32)
		return;
	note_flow_owner(key, BPF_CORE_READ(skb, sk));
}

static __always_inline void map_ipv4(__u8 *to, __be32 address)
{
	__u32 *words = (__u32 *)to;

	words[2] = bpf_htonl(0xffff);
	words[3] = address;
}

static __always_inline void handle_udp_send_v4(struct sk_buff *skb, struct flowi4 *flow)
{
	struct flow_key key = {.protocol = IPPROTO_UDP};

	map_ipv4(key.src, BPF_CORE_READ(flow, saddr));
	map_ipv4(key.dst, BPF_CORE_READ(flow, daddr));
	key.src_port = bpf_ntohs(BPF_CORE_READ(flow, uli.ports.sport));
	key.dst_port = bpf_ntohs(BPF_CORE_READ(flow, uli.ports.dport));
	handle_udp_send(&key, skb);
}

static __always_inline void handle_udp_send_v6(struct sk_buff *skb, struct flowi6 *flow)
{
	struct flow_key key = {.protocol = IPPROTO_UDP};

	bpf_core_read(key.src, sizeof(key.src), &flow->saddr);
	bpf_core_read(key.dst, sizeof(key.dst), &flow->daddr);
	key.src_port = bpf_ntohs(BPF_CORE_READ(flow, uli.ports.sport));
	key.dst_port = bpf_ntohs(BPF_CORE_READ(flow, uli.ports.dport));
	handle_udp_send(&key, skb);
}

/* Leaves `owner` zero when nobody is known for the flow that `original` begins. */
static __noinline void find_flow_owner(
	struct flow_owner *owner, const struct tuple *original, __u32 protocol)
{
	struct flow_key key = {.protocol = protocol};
	struct flow_owner *known;

	__builtin_memcpy(key.src, original->src.address, sizeof(key.src));
	__builtin_memcpy(key.dst, original->dst.address, sizeof(key.dst));
	key.src_port = original->src.port;
	key.dst_port = original->dst.port;
	known = bpf_map_lookup_elem(&flow_owners, &key);
	if (known)
		*owner = *known;
}

#endif
