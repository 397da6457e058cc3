// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Maps of each kind, global variables of each section and a program that touches them. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define MAP(name, map_type, key_type, value_type, entries)                                         \
	struct {                                                                                   \
		__uint(type, map_type);                                                            \
		__uint(max_entries, entries);                                                      \
		__type(key, key_type);                                                             \
		__type(value, value_type);                                                         \
	} name SEC(".maps")

struct point {
	__u32 x;
	__u32 y;
};

MAP(hash, BPF_MAP_TYPE_HASH, __u32, __u64, 10000);
MAP(array, BPF_MAP_TYPE_ARRAY, __u32, struct point, 64);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 600);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} mapped SEC(".maps");

MAP(lru, BPF_MAP_TYPE_LRU_HASH, __u64, __u32, 1024);
MAP(cpu_hash, BPF_MAP_TYPE_PERCPU_HASH, __u32, __u32, 16);
MAP(cpu_array, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, 4);

struct lpm_key {
	__u32 prefix;
	__u32 address;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct lpm_key);
	__type(value, __u32);
} lpm SEC(".maps");

const volatile __u64 config_u64 = 7;
const volatile __s32 config_s32 = -3;
const volatile __u16 config_u16;
const volatile _Bool config_bool;
const volatile char config_name[8] = "none";
const volatile struct point config_point;
__u32 data_limit = 100;
__u64 bss_runs;
__s8 bss_small;

SEC("socket")
int count(struct __sk_buff *ctx)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&cpu_array, &key);

	(void)ctx;
	if (value)
		*value += 1;
	bss_runs += 1;
	if (config_bool)
		bss_small = -1;
	return data_limit + config_u16 + config_s32 + config_point.y + config_name[0] +
	       (__u32)config_u64;
}

SEC("cgroup/connect4")
int on_connect4(struct bpf_sock_addr *ctx)
{
	(void)ctx;
	return 1;
}

char _license[] SEC("license") = "Dual MIT/GPL";
