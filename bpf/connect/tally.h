/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_TALLY_H
#define TUPLEWATCH_TALLY_H

/*
 * Every connect is counted here, also those that become no event: the metrics are exact whatever
 * --connect-events says and whatever a ring loses.
 */

#include "connect.h"

/* Errors times protocols times techniques, as far as they come. */
#define MAX_KINDS 512

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, MAX_KINDS);
	__type(key, struct connect_kind);
	__type(value, struct connect_tally);
} connect_tallies SEC(".maps");

/* Set before load, rising. */
const volatile __u64 config_duration_bounds_ns[CONNECT_BUCKETS] = {};

static const struct connect_tally no_connects;

/* NULL only where no more kinds fit, of which the kernel has not half as many errors. */
static __noinline struct connect_tally *new_tally(const struct connect_kind *kind)
{
	bpf_map_update_elem(&connect_tallies, kind, &no_connects, BPF_NOEXIST);
	return bpf_map_lookup_elem(&connect_tallies, kind);
}

static __always_inline __u32 bucket_of(__u64 duration_ns)
{
	__u32 bucket = 0;

	while (bucket < CONNECT_BUCKETS && duration_ns > config_duration_bounds_ns[bucket])
		bucket++;
	return bucket;
}

/* A program in softirq may interrupt one in process context on the same CPU: hence atomic. */
static __always_inline void tally_connect(const struct connect_kind *kind, __u64 duration_ns,
	__u32 syn_retransmits, bool has_conflict)
{
	struct connect_tally *tally = bpf_map_lookup_elem(&connect_tallies, kind);
	__u32 bucket = bucket_of(duration_ns);

	if (!tally)
		tally = new_tally(kind);
	if (!tally || bucket > CONNECT_BUCKETS)
		return;
	__sync_fetch_and_add(&tally->duration_ns, duration_ns);
	__sync_fetch_and_add(&tally->buckets[bucket], 1);
	if (syn_retransmits)
		__sync_fetch_and_add(&tally->syn_retransmits, syn_retransmits);
	if (has_conflict)
		__sync_fetch_and_add(&tally->conflicts, 1);
}

#endif
