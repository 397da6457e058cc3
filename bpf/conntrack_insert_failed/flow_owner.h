/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_FLOW_OWNER_H
#define TUPLEWATCH_FLOW_OWNER_H

/*
 * Who sends what: the tuple of a flow as it leaves its socket, and the process that sent it. A
 * packet that has crossed a veth, or is sent again by a timer, has lost its process; its tuple
 * still tells.
 */

#include "conntrack.h"
#include "flow_key.h"
#include "socket_record.h"

#define MAX_FLOWS_SENT 32768

/*
 * Who sent a tuple last, and who did before in another namespace: two may have the same addresses,
 * and a reader in a third, which forwards the packets, does not know which of them is meant.
 */
struct flow_senders {
	struct flow_owner last;
	struct flow_owner other; /* time_ns 0: nobody */
	__u64 last_netns;	 /* net_identity() */
	__u64 other_netns;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_FLOWS_SENT);
	__type(key, struct flow_key);
	__type(value, struct flow_senders);
} flow_senders SEC(".maps");

/* An entry of UDP lives for 120 s after its last packet (nf_conntrack_udp_timeout_stream). */
#define UDP_ENTRY_NS 180000000000ULL

static __noinline void note_sender(const struct flow_key *flow, const struct netns_ids *netns)
{
	struct flow_senders senders = {.last_netns = netns->identity}, *known;

	describe_sender(&senders.last, netns);
	/* Most tuples are new. */
	if (!bpf_map_update_elem(&flow_senders, flow, &senders, BPF_NOEXIST))
		return;
	known = bpf_map_lookup_elem(&flow_senders, flow);
	if (known && known->last_netns == netns->identity) {
		describe_sender(&known->last, netns);
		return;
	}
	if (known) {
		copy_owner(&senders.other, &known->last);
		senders.other_netns = known->last_netns;
	}
	bpf_map_update_elem(&flow_senders, flow, &senders, BPF_ANY);
}

/* Once for each connection. */
static __always_inline void handle_tcp_connect(struct sock *sk)
{
	struct endpoint local = {}, peer = {};
	struct netns_ids netns;
	struct flow_key flow = {.protocol = IPPROTO_TCP};

	read_endpoints(&local, &peer, sk);
	__builtin_memcpy(flow.src, local.address, sizeof(flow.src));
	__builtin_memcpy(flow.dst, peer.address, sizeof(flow.dst));
	flow.src_port = local.port;
	flow.dst_port = peer.port;
	read_netns_ids(&netns, sock_net(sk));
	note_sender(&flow, &netns);
}

/*
 * Once for each datagram, so it writes only what is new, and once a second that the flow goes on: a
 * lookup is all that most of them cost.
 */
static __always_inline void note_datagram(
	const struct flow_key *flow, const struct netns_ids *netns)
{
	struct flow_senders *known = bpf_map_lookup_elem(&flow_senders, flow);

	if (known && known->last_netns == netns->identity &&
		known->last.process.pid == bpf_get_current_pid_tgid() >> 32 &&
		bpf_ktime_get_boot_ns() - known->last.time_ns < MARK_NS)
		return;
	note_sender(flow, netns);
}

static __always_inline void handle_udp_send(const struct flow_key *flow, struct sk_buff *skb)
{
	struct sock *sk = BPF_CORE_READ(skb, sk);
	struct netns_ids netns;

	read_netns_ids(&netns, sock_net(sk));
	note_datagram(flow, &netns);
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

/* Whether entries of two namespaces may be there for the tuple; of TCP they may for days. */
static __always_inline bool is_shared(const struct flow_senders *senders, __u32 protocol)
{
	__u64 other_ns = senders->other.time_ns;

	return other_ns &&
	       (protocol != IPPROTO_UDP || bpf_ktime_get_boot_ns() - other_ns < UDP_ENTRY_NS);
}

/*
 * Leaves `owner` zero when nobody is known for the flow that `original` begins: a sender in the
 * entry's own namespace, else one elsewhere, if no two send on this tuple.
 */
static __noinline void find_flow_owner(
	struct flow_owner *owner, const struct tuple *original, __u32 protocol, struct net *net)
{
	__u64 netns = net_identity(net);
	struct flow_senders *known;
	struct flow_key flow = {};

	key_of_tuple(&flow, original, protocol);
	known = bpf_map_lookup_elem(&flow_senders, &flow);
	if (!known)
		return;
	if (known->last_netns == netns)
		copy_owner(owner, &known->last);
	else if (known->other.time_ns && known->other_netns == netns)
		copy_owner(owner, &known->other);
	else if (!is_shared(known, protocol))
		copy_owner(owner, &known->last);
}

/* In which cgroup the flow was sent that `original` begins; 0: not known. */
static __noinline __u64 sender_cgroup_id(const struct nf_conntrack_tuple *original, struct net *net)
{
	struct flow_owner owner = {};
	struct tuple tuple = {};

	read_tuple(&tuple, original);
	find_flow_owner(&owner, &tuple, BPF_CORE_READ(original, dst.protonum), net);
	return owner.cgroup_id;
}

#endif
