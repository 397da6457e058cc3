// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Holds a record reserved for a while. An object of its own, as bpf_loop needs Linux 5.17. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} ring SEC(".maps");

static long wait_until(__u32 index, void *deadline_ns)
{
	(void)index;
	return bpf_ktime_get_ns() >= *(__u64 *)deadline_ns;
}

SEC("socket")
int hold(struct __sk_buff *ctx)
{
	__u64 deadline_ns = bpf_ktime_get_ns() + 100 * 1000 * 1000;
	__u64 *first = bpf_ringbuf_reserve(&ring, sizeof(*first), 0);
	__u64 *second;

	(void)ctx;
	if (!first)
		return 1;
	second = bpf_ringbuf_reserve(&ring, sizeof(*second), 0);
	if (second) {
		*second = 2;
		bpf_ringbuf_submit(second, 0);
	}
	bpf_loop(1 << 23, wait_until, &deadline_ns, 0);
	*first = 1;
	bpf_ringbuf_submit(first, 0);
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
