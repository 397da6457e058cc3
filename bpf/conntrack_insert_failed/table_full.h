/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CONNTRACK_TABLE_FULL_H
#define TUPLEWATCH_CONNTRACK_TABLE_FULL_H

/*
 * A packet that gets no entry at all: __nf_conntrack_alloc() fails with ENOMEM, either because the
 * table is full and early_drop() found nothing to throw out, or for want of memory. There is no
 * entry to look at, but both tuples are arguments. The packet itself is not known, so neither is
 * its socket: its owner is found by the tuple.
 */

#include "handlers.h"

#define MAX_FULL_MARKS 256

/* What the two functions have in common; the hash is that of the original tuple. */
struct full_mark {
	struct net *net;
	__u64 hash;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_FULL_MARKS);
	__type(key, struct full_mark);
	__type(value, __u8);
} full_marks SEC(".maps");

struct allocation {
	struct net *net;
	const struct nf_conntrack_zone *zone;
	const struct nf_conntrack_tuple *original;
	const struct nf_conntrack_tuple *reply;
	__u32 hash;
};

static __always_inline void handle_early_drop(struct net *net, __u32 hash)
{
	struct full_mark mark = {.net = net, .hash = hash};
	__u8 on = 1;

	bpf_map_update_elem(&full_marks, &mark, &on, BPF_ANY);
}

static __noinline __u32 note_refused_allocation(const struct allocation *allocation)
{
	struct refused_key key = {};

	read_refused_key(&key, allocation->net, zone_id(allocation->zone), allocation->original);
	return note_refusal(&key);
}

static __always_inline void report_no_entry(const struct allocation *allocation, __u8 cause)
{
	const struct nf_conntrack_tuple *original = allocation->original;
	__u32 refusals = note_refused_allocation(allocation);
	struct conntrack_insert_failed_event *event;

	event = reserve_event(
		sizeof(*event), EVENT_CLASS_FAULT, sender_cgroup_id(original, allocation->net));
	if (!event)
		return;
	__builtin_memset(event, 0, sizeof(*event));
	begin_event(event);
	read_netns(&event->head, allocation->net);
	read_tuple(&event->original, original);
	read_tuple(&event->reply, allocation->reply);
	event->protocol = BPF_CORE_READ(original, dst.protonum);
	event->zone = zone_id(allocation->zone);
	event->verdict = VERDICT_DROPPED;
	event->cause = cause;
	event->refusals = refusals;
	read_owner(event, allocation->net);
	submit_event(event);
}

#define MIN_ERROR_POINTER (-4095ULL) /* include/linux/err.h: IS_ERR_VALUE() */

static __always_inline bool is_error(__u64 pointer)
{
	return pointer >= MIN_ERROR_POINTER;
}

/* nf_conntrack_alloc(), for entries made by hand over ctnetlink and no packet's, has no hash. */
static __always_inline void handle_alloc_failed(const struct allocation *allocation)
{
	struct full_mark mark = {.net = allocation->net, .hash = allocation->hash};

	if (!allocation->hash)
		return;
	report_no_entry(allocation,
		bpf_map_delete_elem(&full_marks, &mark) ? CAUSE_OTHER : CAUSE_TABLE_FULL);
}

#endif
