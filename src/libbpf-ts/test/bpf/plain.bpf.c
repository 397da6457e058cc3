// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The least that loads: no maps, no variables. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("socket")
int nothing(struct __sk_buff *ctx)
{
	(void)ctx;
	return 42;
}

char _license[] SEC("license") = "Dual MIT/GPL";
