/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_EMIT_H
#define TUPLEWATCH_EMIT_H

/* How a probe hands a record to the daemon, and how what does not get there is counted. */

#include "events.h"
#include "kernel.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

/* enum backend: of the programs that are attached. Set before load. */
const volatile __u8 config_backend = 0;

/* Time one event costs at the configured rate, 0 for no limit. Set before load. */
const volatile __u64 config_event_interval_ns = 0;

/* A failure must not be starved by a flood of successes: each class has its own bucket. */
enum event_class {
	EVENT_CLASS_FAULT = 0,
	EVENT_CLASS_OK = 1,
};

#define BURST_NS 1000000000ULL

__u64 bucket_empty_at_ns[2] = {};

static __always_inline struct counters *this_cpu_counters(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&counters, &zero);
}

#define count(field)                                                                               \
	do {                                                                                       \
		struct counters *counters_ = this_cpu_counters();                                  \
		if (counters_)                                                                     \
			__sync_fetch_and_add(&counters_->field, 1);                                \
	} while (0)

/*
 * Token bucket as a virtual scheduling time (GCRA): one second of events may come at once, then
 * one per interval. Two CPUs may race on the time and let an event too many through; what is
 * refused is counted exactly.
 */
static __always_inline bool within_rate(enum event_class class)
{
	__u64 empty_at_ns, now_ns;

	if (!config_event_interval_ns)
		return true;
	now_ns = bpf_ktime_get_ns();
	empty_at_ns = bucket_empty_at_ns[class];
	if (empty_at_ns < now_ns)
		empty_at_ns = now_ns;
	if (empty_at_ns - now_ns >= BURST_NS)
		return false;
	bucket_empty_at_ns[class] = empty_at_ns + config_event_interval_ns;
	return true;
}

static __always_inline void label_event(struct event_head *head, enum event_type type)
{
	head->type = type;
	head->backend = config_backend;
}

/* Reserve a record of `size` bytes, or count why there is none. */
static __always_inline void *reserve_event(__u64 size, enum event_class class)
{
	void *event;

	count(attempted);
	if (!within_rate(class)) {
		count(filtered);
		count(rate_limited);
		return NULL;
	}
	event = bpf_ringbuf_reserve(&events, size, 0);
	if (!event)
		count(lost);
	return event;
}

static __always_inline void submit_event(void *event)
{
	bpf_ringbuf_submit(event, 0);
	count(emitted);
}

#endif
