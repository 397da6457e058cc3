/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_REFUSED_FLOWS_H
#define TUPLEWATCH_REFUSED_FLOWS_H

/*
 * What a refused packet costs: the flow is tried again, by TCP's retransmit or by the application's
 * next datagram, until conntrack accepts it. The time from its first refusal to then is told once.
 */

#include "conntrack.h"
#include "emit.h"
#include "flow_key.h"

#define MAX_REFUSED_FLOWS 8192

/*
 * What comes later is another flow, not a retry: with 6 retransmits (tcp_syn_retries) the last SYN
 * leaves 63 s after the first, and the connection fails after 127 s.
 */
#define RETRY_WITHIN_NS 130000000000ULL

static const struct flow_retry_event *unused_retry_event __attribute__((unused, used));

struct refused_key {
	struct flow_key flow;
	__u64 netns;
	__u64 zone;
};

struct refused_flow {
	__u64 first_ns;
	__u64 last_ns;
	__u64 refusals;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_REFUSED_FLOWS);
	__type(key, struct refused_key);
	__type(value, struct refused_flow);
} refused_flows SEC(".maps");

/* An accepted flow needs no look after this, nor, it being 0, before the first refusal. */
__u64 retries_until_ns = 0;

static __always_inline void read_refused_key(struct refused_key *key, struct net *net, __u16 zone,
	const struct nf_conntrack_tuple *original)
{
	struct tuple tuple = {};

	read_tuple(&tuple, original);
	key_of_tuple(&key->flow, &tuple, BPF_CORE_READ(original, dst.protonum));
	key->netns = net_identity(net);
	key->zone = zone;
}

/*
 * Tell how often the flow has been refused so far, with this time. Two packets of one flow that are
 * refused on two CPUs at once may count as one: programs get no lock in tracing.
 */
static __noinline __u32 note_refusal(const struct refused_key *key)
{
	struct refused_flow *known = bpf_map_lookup_elem(&refused_flows, key);
	__u64 now_ns = bpf_ktime_get_boot_ns();
	struct refused_flow refused = {.first_ns = now_ns, .last_ns = now_ns, .refusals = 1};

	retries_until_ns = now_ns + RETRY_WITHIN_NS;
	if (known && now_ns - known->last_ns < RETRY_WITHIN_NS) {
		refused.first_ns = known->first_ns;
		refused.refusals = known->refusals + 1;
	}
	bpf_map_update_elem(&refused_flows, key, &refused, BPF_ANY);
	return refused.refusals;
}

static __noinline __u32 note_refused_entry(struct nf_conn *ct)
{
	struct refused_key key = {};

	read_refused_key(
		&key, BPF_CORE_READ(ct, ct_net.net), entry_zone_id(ct), &ct->tuplehash[0].tuple);
	return note_refusal(&key);
}

/* Take the flow's refusals out, if its entry is the retry that they have been waiting for. */
static __always_inline bool take_refusals(
	struct nf_conn *ct, __u64 now_ns, struct refused_flow *refused)
{
	struct refused_key key = {};
	struct refused_flow *known;

	read_refused_key(
		&key, BPF_CORE_READ(ct, ct_net.net), entry_zone_id(ct), &ct->tuplehash[0].tuple);
	known = bpf_map_lookup_elem(&refused_flows, &key);
	if (!known)
		return false;
	*refused = *known;
	/* Whoever deletes it tells of it, so that it is told once. */
	return !bpf_map_delete_elem(&refused_flows, &key) &&
	       now_ns - refused->last_ns < RETRY_WITHIN_NS;
}

#endif
