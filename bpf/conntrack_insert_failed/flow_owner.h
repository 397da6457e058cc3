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

/* Two namespaces may have the same addresses, and send on the same tuple. */
struct owner_key {
	struct flow_key flow;
	__u64 netns;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_FLOW_OWNERS);
	__type(key, struct owner_key);
	__type(value, struct flow_owner);
} flow_owners SEC(".maps");

/*
 * From which namespace a tuple is sent: what a reader in another one, which forwards the packet,
 * does not know. `other_ns`: when the last one before it sent the same tuple; 0: none did.
 */
struct flow_origin {
	__u64 netns;
	__u64 last_ns;
	__u64 other_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_FLOW_OWNERS);
	__type(key, struct flow_key);
	__type(value, struct flow_origin);
} flow_origins SEC(".maps");

#define REFRESH_NS 1000000000ULL

/* An entry of UDP lives for 120 s after its last packet (nf_conntrack_udp_timeout_stream). */
#define UDP_ENTRY_NS 180000000000ULL

static __noinline void note_flow_origin(const struct flow_key *flow, __u64 netns)
{
	struct flow_origin *known = bpf_map_lookup_elem(&flow_origins, flow);
	struct flow_origin origin = {.netns = netns, .last_ns = bpf_ktime_get_boot_ns()};

	if (known)
		origin.other_ns = known->netns == netns ? known->other_ns : known->last_ns;
	bpf_map_update_elem(&flow_origins, flow, &origin, BPF_ANY);
}

static __noinline void note_flow_owner(struct owner_key *key, struct sock *sk)
{
	struct flow_owner owner = {};

	describe_sender(&owner, sk);
	bpf_map_update_elem(&flow_owners, key, &owner, BPF_ANY);
	note_flow_origin(&key->flow, key->netns);
}

/* Once for each connection. */
static __always_inline void handle_tcp_connect(struct sock *sk)
{
	struct endpoint local = {}, peer = {};
	struct owner_key key = {.flow.protocol = IPPROTO_TCP, .netns = net_identity(sock_net(sk))};

	read_endpoints(&local, &peer, sk);
	__builtin_memcpy(key.flow.src, local.address, sizeof(key.flow.src));
	__builtin_memcpy(key.flow.dst, peer.address, sizeof(key.flow.dst));
	key.flow.src_port = local.port;
	key.flow.dst_port = peer.port;
	note_flow_owner(&key, sk);
}

/*
 * Once for each datagram, so it writes only what is new, and once a second that the flow goes on: a
 * lookup is all that most of them cost.
 */
static __always_inline void handle_udp_send(struct owner_key *key, struct sk_buff *skb)
{
	struct sock *sk = BPF_CORE_READ(skb, sk);
	struct flow_owner *known;

	key->netns = net_identity(sock_net(sk));
	known = bpf_map_lookup_elem(&flow_owners, key);
	if (known && known->process.pid == bpf_get_current_pid_tgid() >> 32 &&
		bpf_ktime_get_boot_ns() - known->time_ns < REFRESH_NS)
		return;
	note_flow_owner(key, sk);
}

static __always_inline void handle_udp_send_v4(struct sk_buff *skb, struct flowi4 *flow)
{
	struct owner_key key = {};

	key_of_udp_v4(&key.flow, flow);
	handle_udp_send(&key, skb);
}

static __always_inline void handle_udp_send_v6(struct sk_buff *skb, struct flowi6 *flow)
{
	struct owner_key key = {};

	key_of_udp_v6(&key.flow, flow);
	handle_udp_send(&key, skb);
}

/* Whether entries of two namespaces may be there for the tuple; of TCP they may for days. */
static __always_inline bool is_shared(const struct flow_origin *origin, __u32 protocol)
{
	if (!origin->other_ns)
		return false;
	return protocol != IPPROTO_UDP || bpf_ktime_get_boot_ns() - origin->other_ns < UDP_ENTRY_NS;
}

/*
 * Leaves `owner` zero when nobody is known for the flow that `original` begins: a sender in the
 * entry's own namespace, else one elsewhere, if no two send on this tuple.
 */
static __noinline void find_flow_owner(
	struct flow_owner *owner, const struct tuple *original, __u32 protocol, struct net *net)
{
	struct owner_key key = {.netns = net_identity(net)};
	struct flow_origin *origin;
	struct flow_owner *known;

	key_of_tuple(&key.flow, original, protocol);
	known = bpf_map_lookup_elem(&flow_owners, &key);
	if (!known) {
		origin = bpf_map_lookup_elem(&flow_origins, &key.flow);
		if (!origin || is_shared(origin, protocol))
			return;
		key.netns = origin->netns;
		known = bpf_map_lookup_elem(&flow_owners, &key);
	}
	if (known)
		*owner = *known;
}

#endif
