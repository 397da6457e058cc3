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
