/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CONNTRACK_HANDLERS_H
#define TUPLEWATCH_CONNTRACK_HANDLERS_H

/*
 * What the backends share: a refused entry becomes an event, and so does the retry of its flow.
 *
 * Entry and exit of nf_ct_resolve_clash() are paired by the packet's address: the function may run
 * on several CPUs at once, in softirqs that share one "current" process, and under PREEMPT_RT it
 * may move between CPUs. The loser is described at entry, since a merge frees it.
 */

#include "emit.h"
#include "conntrack.h"
#include "flow_owner.h"
#include "refused_flows.h"

#define NF_DROP 0 /* include/uapi/linux/netfilter.h */

#define MAX_CLASHES 1024

static const struct conntrack_insert_failed_event empty_event;

/*
 * Clashes under way, by packet. An entry outlives nf_ct_resolve_clash() if that dropped the packet,
 * until the confirm step around it returns: there it tells that the drop has been reported.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_CLASHES);
	__type(key, struct sk_buff *);
	__type(value, struct conntrack_insert_failed_event);
} clashes SEC(".maps");

/* Sockets of the kernel's own, such as the one that answers pings, have no file. */
static __always_inline bool is_sent_by_process(struct sock *sk, __u8 state)
{
	__u16 protocol = BPF_CORE_READ(sk, sk_protocol);

	if (protocol == IPPROTO_TCP)
		return state == TCP_SYN_SENT &&
		       !BPF_CORE_READ((struct tcp_sock *)sk, total_retrans);
	return BPF_CORE_READ(sk, sk_socket, file);
}

/*
 * The sender, where it is known. Datagrams are sent in the sender's own context. So is the first
 * SYN; its retransmits leave from a timer, whose current process has nothing to do with them.
 */
static __always_inline void read_sender(struct event_head *head, struct sk_buff *skb)
{
	struct sock *sk = BPF_CORE_READ(skb, sk);
	__u8 state;

	if (!sk)
		return;
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (state == TCP_NEW_SYN_RECV || state == TCP_TIME_WAIT)
		return; /* a request or timewait socket: too short for the fields of a full one */
	read_socket_owner(head, sk);
	if (!BPF_CORE_READ(skb, skb_iif) && is_sent_by_process(sk, state))
		read_current(head);
}

static __always_inline void adopt_owner(struct event_head *head, const struct flow_owner *owner)
{
	if (!owner->time_ns || head->attribution == ATTRIBUTION_CURRENT)
		return;
	head->process = owner->process;
	head->cgroup_id = owner->cgroup_id;
	head->attribution = ATTRIBUTION_FLOW_OWNER;
}

static __always_inline void read_owner(struct conntrack_insert_failed_event *event, struct net *net)
{
	find_flow_owner(&event->owner, &event->original, event->protocol, net);
	adopt_owner(&event->head, &event->owner);
}

static __always_inline void begin_event(struct conntrack_insert_failed_event *event)
{
	event->head.time_ns = bpf_ktime_get_boot_ns();
	event->head.cpu = bpf_get_smp_processor_id();
	label_event(&event->head, EVENT_TYPE_CONNTRACK_INSERT_FAILED);
}

/* What is common to all events about an entry; `event` is zero before. */
static __always_inline void describe(
	struct conntrack_insert_failed_event *event, struct sk_buff *skb, struct nf_conn *ct)
{
	begin_event(event);
	read_netns(&event->head, BPF_CORE_READ(ct, ct_net.net));
	read_tuple(&event->original, &ct->tuplehash[0].tuple);
	read_tuple(&event->reply, &ct->tuplehash[1].tuple);
	event->protocol = BPF_CORE_READ(ct, tuplehash[0].tuple.dst.protonum);
	event->zone = entry_zone_id(ct);
	event->nat = nat_of(BPF_CORE_READ(ct, status));
	read_sender(&event->head, skb);
	read_owner(event, BPF_CORE_READ(ct, ct_net.net));
}

/*
 * Whether the winner has the loser's own tuple, in another zone. Its sender, perhaps from before
 * the daemon, may not be known beside the loser's: the tuple does not tell which of them is meant.
 */
static __always_inline bool is_twin(
	const struct conntrack_insert_failed_event *event, struct nf_conn *winner)
{
	const __u64 *a = (const __u64 *)&event->original;
	const __u64 *b = (const __u64 *)&event->winner_original;

	_Static_assert(sizeof(event->original) == 5 * sizeof(*a), "no padding");
	return entry_zone_id(winner) != event->zone && a[0] == b[0] && a[1] == b[1] &&
	       a[2] == b[2] && a[3] == b[3] && a[4] == b[4];
}

static __always_inline void describe_winner(
	struct conntrack_insert_failed_event *event, struct nf_conn *winner)
{
	event->has_winner = 1;
	read_tuple(&event->winner_original, &winner->tuplehash[0].tuple);
	read_tuple(&event->winner_reply, &winner->tuplehash[1].tuple);
	if (!is_twin(event, winner))
		find_flow_owner(&event->winner_owner, &event->winner_original, event->protocol,
			BPF_CORE_READ(winner, ct_net.net));
}

static __always_inline __u64 entry_cgroup_id(struct nf_conn *ct)
{
	return sender_cgroup_id(&ct->tuplehash[0].tuple, BPF_CORE_READ(ct, ct_net.net));
}

static __always_inline void report_drop(
	struct sk_buff *skb, struct nf_conn *ct, __u8 cause, __u32 inferred, __u32 refusals)
{
	struct conntrack_insert_failed_event *event;

	event = reserve_event(sizeof(*event), EVENT_CLASS_FAULT, entry_cgroup_id(ct));
	if (!event)
		return;
	__builtin_memset(event, 0, sizeof(*event));
	describe(event, skb, ct);
	event->head.inferred = inferred;
	event->verdict = VERDICT_DROPPED;
	event->cause = cause;
	event->refusals = refusals;
	submit_event(event);
}

static __always_inline void handle_clash_entry(
	struct sk_buff *skb, struct nf_conntrack_tuple_hash *h)
{
	struct conntrack_insert_failed_event *event;

	bpf_map_update_elem(&clashes, &skb, &empty_event, BPF_ANY);
	event = bpf_map_lookup_elem(&clashes, &skb);
	if (!event)
		return;
	describe(event, skb, skb_conntrack(skb));
	describe_winner(event, entry_of(h));
	event->cause = CAUSE_CLASH;
}

static __always_inline void report_clash(
	const struct conntrack_insert_failed_event *described, int verdict, __u32 refusals)
{
	struct conntrack_insert_failed_event *event;

	event = reserve_event(sizeof(*event), EVENT_CLASS_FAULT, described->head.cgroup_id);
	if (!event)
		return;
	*event = *described;
	event->verdict = verdict == NF_DROP ? VERDICT_DROPPED : VERDICT_RESOLVED;
	event->refusals = refusals;
	submit_event(event);
}

static __always_inline void handle_clash_exit(struct sk_buff *skb, int verdict)
{
	const struct conntrack_insert_failed_event *described;
	/* A packet that is to be dropped still has its own entry. */
	__u32 refusals = verdict == NF_DROP ? note_refused_entry(skb_conntrack(skb)) : 0;

	described = bpf_map_lookup_elem(&clashes, &skb);
	if (described) {
		report_clash(described, verdict, refusals);
	} else {
		count(attempted);
		count(lost);
	}
	if (verdict != NF_DROP)
		bpf_map_delete_elem(&clashes, &skb);
}

/* An entry that is being removed before it was ever added has no place in the table. */
static __always_inline __u8 refusal_cause(struct nf_conn *ct)
{
	if (BPF_CORE_READ(ct, status) & IPS_DYING)
		return CAUSE_DYING;
	return chains_are_limited() && !is_in_table(ct) ? CAUSE_CHAIN_TOO_LONG : CAUSE_OTHER;
}

static __always_inline void handle_refused(struct sk_buff *skb)
{
	struct nf_conn *ct;

	if (!bpf_map_delete_elem(&clashes, &skb))
		return;
	ct = skb_conntrack(skb);
	if (ct)
		report_drop(skb, ct, refusal_cause(ct), 0, note_refused_entry(ct));
}

static __noinline void handle_accepted(struct sk_buff *skb)
{
	__u64 now_ns = bpf_ktime_get_boot_ns();
	struct nf_conn *ct = skb_conntrack(skb);
	struct refused_flow refused = {};
	struct flow_retry_event *event;
	struct flow_owner owner = {};

	if (now_ns >= retries_until_ns || !ct || !take_refusals(ct, now_ns, &refused))
		return;
	event = reserve_event(sizeof(*event), EVENT_CLASS_FAULT, entry_cgroup_id(ct));
	if (!event)
		return;
	__builtin_memset(event, 0, sizeof(*event));
	event->head.time_ns = now_ns;
	event->head.cpu = bpf_get_smp_processor_id();
	label_event(&event->head, EVENT_TYPE_FLOW_RETRY);
	read_netns(&event->head, BPF_CORE_READ(ct, ct_net.net));
	event->delay_ns = now_ns - refused.first_ns;
	read_tuple(&event->original, &ct->tuplehash[0].tuple);
	event->refusals = refused.refusals;
	event->protocol = BPF_CORE_READ(ct, tuplehash[0].tuple.dst.protonum);
	event->zone = entry_zone_id(ct);
	read_sender(&event->head, skb);
	find_flow_owner(&owner, &event->original, event->protocol, BPF_CORE_READ(ct, ct_net.net));
	adopt_owner(&event->head, &owner);
	submit_event(event);
}

/* The exit of the confirm step, for each new flow: all but a few are accepted. */
static __always_inline void handle_confirm_exit(struct sk_buff *skb, int verdict)
{
	if (verdict == NF_DROP)
		handle_refused(skb);
	else if (retries_until_ns)
		handle_accepted(skb);
}

#endif
