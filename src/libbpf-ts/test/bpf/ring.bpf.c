// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* A producer for the ring's tests: one record per run of a socket filter. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct sample {
	__u64 sequence;
	__u64 check;
	__u64 time_ns;
	__u32 producer;
	__u32 pad;
};

/* clang leaves a struct out of BTF that is used through pointers only. */
const struct sample *unused_sample __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} ring SEC(".maps");

/* Mixed into the checksum, so that a record of another producer or an old lap is told apart. */
const volatile __u32 config_producer;
/* Every n-th record is discarded; 0: none. */
const volatile __u32 config_discard_every;
const volatile __u64 config_submit_flags;

__u64 sequence;
__u64 submitted;
__u64 discarded;
__u64 lost;

SEC("socket")
int emit(struct __sk_buff *ctx)
{
	struct sample *sample = bpf_ringbuf_reserve(&ring, sizeof(*sample), 0);

	(void)ctx;
	if (!sample) {
		lost++;
		return 0;
	}
	sample->sequence = sequence;
	sample->check = (sequence ^ config_producer) * 0x9e3779b97f4a7c15ull;
	sample->time_ns = bpf_ktime_get_ns();
	sample->producer = config_producer;
	sample->pad = 0;
	sequence++;
	if (config_discard_every && sequence % config_discard_every == 0) {
		discarded++;
		bpf_ringbuf_discard(sample, config_submit_flags);
	} else {
		submitted++;
		bpf_ringbuf_submit(sample, config_submit_flags);
	}
	return 1;
}

static __u8 bytes[256];

/* A record of as many bytes as the packet is long, each byte that length. */
SEC("socket")
int emit_bytes(struct __sk_buff *ctx)
{
	__u32 length = ctx->len & 0xff;

	for (__u32 i = 0; i < sizeof(bytes); i++)
		bytes[i] = length;
	if (bpf_ringbuf_output(&ring, bytes, length, 0))
		lost++;
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
