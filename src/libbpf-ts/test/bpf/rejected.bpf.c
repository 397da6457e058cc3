// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The verifier refuses this one, after a log of some length. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} values SEC(".maps");

SEC("socket")
int unchecked(struct __sk_buff *ctx)
{
	__u32 key = 0;
	__u32 sum = 0;
	__u64 *value;

	(void)ctx;
#pragma unroll
	for (int i = 0; i < 40; i++)
		sum += bpf_get_prandom_u32();
	value = bpf_map_lookup_elem(&values, &key);
	return *value + sum;
}

char _license[] SEC("license") = "Dual MIT/GPL";
