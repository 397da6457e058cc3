/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_RATE_H
#define TUPLEWATCH_RATE_H

/*
 * The limit of a probe's events, shared fairly: three quarters go to whoever comes first, a quarter
 * is kept for cgroups that had few of late, so that a flood in one does not silence another.
 */

#include "kernel.h"

/* Time one event costs at the configured rate, 0 for no limit. Set before load. */
const volatile __u64 config_event_interval_ns = 0;

/* A failure must not be starved by a flood of successes: each class has its own buckets. */
enum event_class {
	EVENT_CLASS_FAULT = 0,
	EVENT_CLASS_OK = 1,
};

#define BURST_NS 1000000000ULL
#define MAX_RATED_CGROUPS 1024

/* A cgroup that had no more than one in so many of the limit has a claim to what is kept. */
#define SHARES 32
#define SHARE_BURST_EVENTS 32

__u64 common_empty_at_ns[2] = {};
__u64 kept_empty_at_ns[2] = {};

struct rated_cgroup {
	__u64 cgroup_id;
	__u64 class;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_RATED_CGROUPS);
	__type(key, struct rated_cgroup);
	__type(value, __u64);
} cgroup_empty_at_ns SEC(".maps");

static __always_inline __u64 later(__u64 left, __u64 right)
{
	return left > right ? left : right;
}

/*
 * Token bucket as a virtual scheduling time (GCRA): one second of events may come at once, then
 * one per interval. Two CPUs may race on the time and let an event too many through; what is
 * refused is counted exactly.
 */
static __always_inline bool take_token(__u64 *empty_at_ns, __u64 interval_ns, __u64 now_ns)
{
	__u64 at_ns = later(*empty_at_ns, now_ns);

	if (at_ns - now_ns >= BURST_NS)
		return false;
	*empty_at_ns = at_ns + interval_ns;
	return true;
}

/* Every event counts for its cgroup, wherever the token came from; a debt is soon forgiven. */
static __always_inline void charge(
	const struct rated_cgroup *key, __u64 *known, __u64 burst_ns, __u64 now_ns)
{
	__u64 interval_ns = config_event_interval_ns * SHARES;
	__u64 at_ns = later(known ? *known : 0, now_ns) + interval_ns;

	if (at_ns - now_ns > burst_ns + interval_ns)
		at_ns = now_ns + burst_ns + interval_ns;
	if (known)
		*known = at_ns;
	else
		bpf_map_update_elem(&cgroup_empty_at_ns, key, &at_ns, BPF_ANY);
}

static __noinline bool within_limit(__u32 class, __u64 cgroup_id)
{
	struct rated_cgroup key = {.cgroup_id = cgroup_id, .class = class};
	__u64 *known = bpf_map_lookup_elem(&cgroup_empty_at_ns, &key);
	__u64 now_ns = bpf_ktime_get_ns(), interval_ns = config_event_interval_ns;
	__u64 burst_ns = later(BURST_NS, interval_ns * SHARES * SHARE_BURST_EVENTS);
	bool is_modest = !known || *known < now_ns + burst_ns;

	class &= 1;
	if (!take_token(&common_empty_at_ns[class], interval_ns * 4 / 3, now_ns) &&
		!(is_modest && take_token(&kept_empty_at_ns[class], interval_ns * 4, now_ns)))
		return false;
	charge(&key, known, burst_ns, now_ns);
	return true;
}

static __always_inline bool within_rate(enum event_class class, __u64 cgroup_id)
{
	return !config_event_interval_ns || within_limit(class, cgroup_id);
}

#endif
