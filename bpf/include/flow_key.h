/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_FLOW_KEY_H
#define TUPLEWATCH_FLOW_KEY_H

/* The tuple of a flow as its sender has it, made from what a hook gets to see of it. */

#include "getters.h"

struct flow_key {
	__u8 src[16];
	__u8 dst[16];
	__u16 src_port;
	__u16 dst_port;
	__u32 protocol;
};

static __always_inline void map_ipv4(__u8 *to, __be32 address)
{
	__u32 *words = (__u32 *)to;

	words[2] = bpf_htonl(0xffff);
	words[3] = address;
}

/* Of a datagram about to be sent; `key` is zero before. */
static __always_inline void key_of_udp_v4(struct flow_key *key, struct flowi4 *flow)
{
	key->protocol = IPPROTO_UDP;
	map_ipv4(key->src, BPF_CORE_READ(flow, saddr));
	map_ipv4(key->dst, BPF_CORE_READ(flow, daddr));
	key->src_port = bpf_ntohs(BPF_CORE_READ(flow, uli.ports.sport));
	key->dst_port = bpf_ntohs(BPF_CORE_READ(flow, uli.ports.dport));
}

static __always_inline void key_of_udp_v6(struct flow_key *key, struct flowi6 *flow)
{
	key->protocol = IPPROTO_UDP;
	bpf_core_read(key->src, sizeof(key->src), &flow->saddr);
	bpf_core_read(key->dst, sizeof(key->dst), &flow->daddr);
	key->src_port = bpf_ntohs(BPF_CORE_READ(flow, uli.ports.sport));
	key->dst_port = bpf_ntohs(BPF_CORE_READ(flow, uli.ports.dport));
}

/* The same two, for programs that are given the flow as such. */
static __always_inline void load_udp_key_v4(struct flow_key *key, struct flowi4 *flow)
{
	key->protocol = IPPROTO_UDP;
	map_ipv4(key->src, flow->saddr);
	map_ipv4(key->dst, flow->daddr);
	key->src_port = bpf_ntohs(flow->uli.ports.sport);
	key->dst_port = bpf_ntohs(flow->uli.ports.dport);
}

static __always_inline void load_ipv6(__u8 *to, const struct in6_addr *address)
{
	__u32 *words = (__u32 *)to;

	words[0] = address->in6_u.u6_addr32[0];
	words[1] = address->in6_u.u6_addr32[1];
	words[2] = address->in6_u.u6_addr32[2];
	words[3] = address->in6_u.u6_addr32[3];
}

static __always_inline void load_udp_key_v6(struct flow_key *key, struct flowi6 *flow)
{
	key->protocol = IPPROTO_UDP;
	load_ipv6(key->src, &flow->saddr);
	load_ipv6(key->dst, &flow->daddr);
	key->src_port = bpf_ntohs(flow->uli.ports.sport);
	key->dst_port = bpf_ntohs(flow->uli.ports.dport);
}

/* Of a TCP socket that connects. */
static __always_inline void load_tcp_key(struct flow_key *key, struct sock *sk)
{
	struct sock_common *common = &sk->__sk_common;

	key->protocol = IPPROTO_TCP;
	if (common->skc_family == AF_INET6) {
		load_ipv6(key->src, &common->skc_v6_rcv_saddr);
		load_ipv6(key->dst, &common->skc_v6_daddr);
	} else {
		map_ipv4(key->src, common->skc_rcv_saddr);
		map_ipv4(key->dst, common->skc_daddr);
	}
	key->src_port = common->skc_num;
	key->dst_port = bpf_ntohs(common->skc_dport);
}

static __always_inline bool is_same_flow(const struct flow_key *left, const struct flow_key *right)
{
	const __u64 *a = (const __u64 *)left, *b = (const __u64 *)right;

	_Static_assert(sizeof(*left) == 5 * sizeof(*a), "no padding");
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] && a[4] == b[4];
}

static __always_inline void key_of_tuple(
	struct flow_key *key, const struct tuple *original, __u32 protocol)
{
	key->protocol = protocol;
	__builtin_memcpy(key->src, original->src.address, sizeof(key->src));
	__builtin_memcpy(key->dst, original->dst.address, sizeof(key->dst));
	key->src_port = original->src.port;
	key->dst_port = original->dst.port;
}

#endif
