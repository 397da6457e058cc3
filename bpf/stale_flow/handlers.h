/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_STALE_FLOW_HANDLERS_H
#define TUPLEWATCH_STALE_FLOW_HANDLERS_H

/* What both backends share: who sends on which tuple, and whose entry that finds. */

#include "emit.h"
#include "stale_flow.h"

#define NF_DROP 0 /* include/uapi/linux/netfilter.h */

static __always_inline bool is_elsewhere(const struct endpoint *left, const struct endpoint *right)
{
	const __u32 *a = (const __u32 *)left->address, *b = (const __u32 *)right->address;

	return a[0] != b[0] || a[1] != b[1] || a[2] != b[2] || a[3] != b[3] ||
	       left->port != right->port;
}

static __noinline void report(const struct candidate *candidate)
{
	struct nf_conn *ct = (struct nf_conn *)candidate->entry;
	struct sock *sk = (struct sock *)candidate->sk;
	const struct sender *opener = &candidate->opener;
	__u8 nat = nat_of(BPF_CORE_READ(ct, status));
	struct stale_flow_reuse_event *event;

	/* Without NAT it does no harm: such events must not take the place of those that do. */
	event = reserve_event(sizeof(*event), nat ? EVENT_CLASS_FAULT : EVENT_CLASS_OK,
		bpf_get_current_cgroup_id());
	if (!event)
		return;
	__builtin_memset(event, 0, sizeof(*event));
	event->head.time_ns = bpf_ktime_get_boot_ns();
	event->head.cpu = bpf_get_smp_processor_id();
	label_event(&event->head, EVENT_TYPE_STALE_FLOW_REUSE);
	event->head.cgroup_id = bpf_get_current_cgroup_id();
	read_netns(&event->head, sock_net(sk));
	read_current(&event->head);
	event->socket_cookie = sock_cookie(sk);
	event->old_socket_cookie = opener->socket == opener->sk ? 0 : opener->socket;
	event->age_ns = event->head.time_ns - candidate->confirmed_ns;
	event->old_owner = opener->owner;
	read_tuple(&event->original, &ct->tuplehash[0].tuple);
	read_tuple(&event->reply, &ct->tuplehash[1].tuple);
	event->protocol = IPPROTO_UDP;
	event->zone = entry_zone_id(ct);
	event->nat = nat;
	event->redirected = is_elsewhere(&event->reply.src, &event->original.dst);
	submit_event(event);
}

/* Whether datagrams are under way that may take another socket's entry; a few too many at worst. */
static __s64 candidates_count;

static const struct candidate empty_candidate;

static __noinline void note_candidate(
	const struct sent_flow *flow, const struct sent_key *key, struct sock *sk)
{
	struct nf_conn *ct = (struct nf_conn *)flow->entry;
	__u64 thread = bpf_get_current_pid_tgid();
	struct candidate *candidate;

	bpf_map_update_elem(&candidates, &thread, &empty_candidate, BPF_ANY);
	candidate = bpf_map_lookup_elem(&candidates, &thread);
	if (!candidate)
		return;
	candidate->opener = flow->opener;
	candidate->key = *key;
	candidate->entry = flow->entry;
	candidate->confirmed_ns = flow->confirmed_ns;
	candidate->sk = (__u64)sk;
	candidate->since = bpf_jiffies64();
	candidate->timeout = BPF_CORE_READ(ct, timeout);
	__sync_fetch_and_add(&candidates_count, 1);
}

/*
 * Another socket than before sends on the tuple. While the opener has the port they share it
 * (SO_REUSEPORT, SO_REUSEADDR) and with it the entry, on purpose: that socket's use is not stale
 * later either.
 */
static __always_inline void handle_other_sender(
	struct sent_flow *flow, const struct sent_key *key, struct sock *sk, __u64 socket)
{
	struct use use = {.socket = socket, .confirmed_ns = flow->confirmed_ns};
	__u8 on = 1;

	if (flow->opener.socket == socket || !has_entry(flow->entry, key))
		return;
	if (bpf_map_update_elem(&uses, &use, &on, BPF_NOEXIST))
		return;
	if (!has_port(&flow->opener, key->flow.src_port))
		note_candidate(flow, key, sk);
}

/* The datagram has left or was dropped: only now it is known whether it took the entry. */
static __always_inline void handle_sent(void)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct candidate *candidate;

	if (!candidates_count)
		return;
	candidate = bpf_map_lookup_elem(&candidates, &thread);
	if (!candidate)
		return;
	__sync_fetch_and_add(&candidates_count, -1);
	if (has_entry(candidate->entry, &candidate->key) &&
		is_renewed(
			(struct nf_conn *)candidate->entry, candidate->timeout, candidate->since))
		report(candidate);
	bpf_map_delete_elem(&candidates, &thread);
}

static __noinline void begin_flow(
	const struct sent_key *key, struct sock *sk, __u64 socket, const struct netns_ids *netns)
{
	struct sent_flow flow = {};

	describe(&flow.sender, sk, socket, netns);
	bpf_map_update_elem(&sent_flows, key, &flow, BPF_ANY);
}

/* Of datagrams that a socket goes on to send, this one lookup is all that they cost. */
static __always_inline void handle_send(
	struct sent_key *key, struct sock *sk, __u64 socket, const struct netns_ids *netns)
{
	struct sent_flow *flow;

	key->netns = netns->identity;
	flow = bpf_map_lookup_elem(&sent_flows, key);
	if (!flow) {
		begin_flow(key, sk, socket, netns);
		return;
	}
	if (flow->sender.socket == socket)
		return;
	handle_other_sender(flow, key, sk, socket);
	describe(&flow->sender, sk, socket, netns);
}

/* What is forwarded has no socket here. */
static __always_inline bool is_local_udp(struct sk_buff *skb)
{
	struct nf_conn *ct = skb_conntrack(skb);

	return BPF_CORE_READ(skb, sk) && ct &&
	       BPF_CORE_READ(ct, tuplehash[0].tuple.dst.protonum) == IPPROTO_UDP;
}

/* The exit of the confirm step: a clash may have given the packet the winner's entry. */
static __noinline void handle_confirmed(struct sk_buff *skb)
{
	struct nf_conn *ct = skb_conntrack(skb);
	struct sent_key key = {};
	struct sent_flow *flow;

	key_of_entry(&key, ct);
	flow = bpf_map_lookup_elem(&sent_flows, &key);
	if (!flow)
		return;
	flow->opener = flow->sender;
	flow->confirmed_ns = bpf_ktime_get_boot_ns();
	flow->entry = (__u64)ct;
}

#endif
