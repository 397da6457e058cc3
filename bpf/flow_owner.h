/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_FLOW_OWNER_H
#define TUPLEWATCH_FLOW_OWNER_H

/*
 * Who sends what: the tuple of a flow as it leaves its socket, and the process that sent it. A
 * packet that has crossed a veth, or is sent again by a timer, has lost its process; its tuple
 * still tells.
 */

#include "flow_key.h"

#define MAX_FLOW_OWNERS 32768

/* Without the namespace: that is the very thing the later reader does not know. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_FLOW_OWNERS);
	__type(key, struct flow_key);
	__type(value, struct flow_owner);
} flow_owners SEC(".maps");

static __noinline void note_flow_owner(struct flow_key *key, struct sock *sk)
{
	struct flow_owner owner = {};

	describe_sender(&owner, sk);
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

static __always_inline void handle_udp_send_v4(struct sk_buff *skb, struct flowi4 *flow)
{
	struct flow_key key = {};

	key_of_udp_v4(&key, flow);
	handle_udp_send(&key, skb);
}

static __always_inline void handle_udp_send_v6(struct sk_buff *skb, struct flowi6 *flow)
{
	struct flow_key key = {};

	key_of_udp_v6(&key, flow);
	handle_udp_send(&key, skb);
}

/* Leaves `owner` zero when nobody is known for the flow that `original` begins. */
static __noinline void find_flow_owner(
	struct flow_owner *owner, const struct tuple *original, __u32 protocol)
{
	struct flow_key key = {};
	struct flow_owner *known;

	key_of_tuple(&key, original, protocol);
	known = bpf_map_lookup_elem(&flow_owners, &key);
	if (known)
		*owner = *known;
}

#endif
