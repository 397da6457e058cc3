/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_EMIT_H
#define TUPLEWATCH_EMIT_H

/* How a probe hands a record to the daemon, and how what does not get there is counted. */

#include "events.h"
#include "kernel.h"
#include "rate.h"

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

static __always_inline void label_event(struct event_head *head, enum event_type type)
{
	head->type = type;
	head->backend = config_backend;
}

static __always_inline void count_rate_limited(enum event_class class)
{
	struct counters *counters = this_cpu_counters();

	if (!counters)
		return;
	__sync_fetch_and_add(&counters->filtered, 1);
	__sync_fetch_and_add(&counters->rate_limited, 1);
	if (class == EVENT_CLASS_OK)
		__sync_fetch_and_add(&counters->rate_limited_ordinary, 1);
}

/* Reserve a record of `size` bytes for an event of this cgroup, or count why there is none. */
static __always_inline void *reserve_event(__u64 size, enum event_class class, __u64 cgroup_id)
{
	void *event;

	count(attempted);
	if (!within_rate(class, cgroup_id)) {
		count_rate_limited(class);
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
