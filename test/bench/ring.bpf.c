// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Fills a ring with connect events as fast as one core can. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "events.h"

#define RECORDS_PER_RUN 512

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} ring SEC(".maps");

__u64 produced;

SEC("socket")
int produce(struct __sk_buff *ctx)
{
	struct connect_event *event;

	(void)ctx;
	for (int i = 0; i < RECORDS_PER_RUN; i++) {
		event = bpf_ringbuf_reserve(&ring, sizeof(*event), 0);
		if (!event)
			return 0;
		__builtin_memset(event, 0, sizeof(*event));
		event->head.time_ns = bpf_ktime_get_boot_ns();
		event->head.process.pid = produced;
		event->head.cgroup_id = i;
		event->duration_ns = 1000 + i;
		event->error = i % 3 ? 0 : 99;
		event->protocol = i % 2 ? 6 : 17;
		event->technique = i % 5;
		event->syn_retransmits = i % 7;
		produced++;
		bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	}
	return 1;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
