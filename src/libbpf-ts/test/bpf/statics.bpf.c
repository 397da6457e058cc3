// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A .data section of static variables only, which libbpf does not make mappable. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static volatile __u32 hidden = 1;

SEC("socket")
int increment(struct __sk_buff *ctx)
{
	(void)ctx;
	hidden += 1;
	return hidden;
}

char _license[] SEC("license") = "Dual MIT/GPL";
