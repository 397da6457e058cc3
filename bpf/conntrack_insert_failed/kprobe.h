/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CONNTRACK_KPROBE_H
#define TUPLEWATCH_CONNTRACK_KPROBE_H

/* The kprobe backend. */

#include "frames.h"
#include "table_full.h"

#define MAX_FRAMES 1024

struct frame {
	struct sk_buff *skb;
	struct allocation allocation;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_FRAMES);
	__type(key, __u64);
	__type(value, struct frame);
} frames SEC(".maps");

/* libbpf has it from 1.2 on; the System V ABI passes it in r9, the one of arm64 in x5. */
#ifndef PT_REGS_PARM6
#if defined(__TARGET_ARCH_x86)
#define PT_REGS_PARM6(ctx) ((ctx)->r9)
#else
#define PT_REGS_PARM6(ctx) (((struct user_pt_regs *)(ctx))->regs[5])
#endif
#endif

SEC("kprobe")
int BPF_KPROBE(kprobe_resolve_clash, struct sk_buff *skb, struct nf_conntrack_tuple_hash *h)
{
	struct frame frame = {.skb = skb};

	push_frame(ctx, &frames, &frame);
	handle_clash_entry(skb, h);
	return 0;
}

SEC("kretprobe")
int BPF_KRETPROBE(kretprobe_resolve_clash, int verdict)
{
	struct frame frame;

	if (pop_frame(ctx, &frames, &frame, sizeof(frame)))
		handle_clash_exit(frame.skb, verdict);
	return 0;
}

SEC("kprobe")
int BPF_KPROBE(kprobe_confirm, struct sk_buff *skb)
{
	struct frame frame = {.skb = skb};

	push_frame(ctx, &frames, &frame);
	return 0;
}

SEC("kretprobe")
int BPF_KRETPROBE(kretprobe_confirm, int verdict)
{
	struct frame frame;

	if (pop_frame(ctx, &frames, &frame, sizeof(frame)))
		handle_confirm_exit(frame.skb, verdict);
	return 0;
}

SEC("kprobe")
int BPF_KPROBE(kprobe_early_drop, struct net *net, unsigned int hash)
{
	handle_early_drop(net, hash);
	return 0;
}

SEC("kprobe")
int BPF_KPROBE(kprobe_alloc, struct net *net, const struct nf_conntrack_zone *zone,
	const struct nf_conntrack_tuple *original, const struct nf_conntrack_tuple *reply,
	unsigned int flags)
{
	__u32 hash = PT_REGS_PARM6(ctx);
	struct frame frame = {.allocation = {net, zone, original, reply, hash}};

	push_frame(ctx, &frames, &frame);
	return 0;
}

SEC("kretprobe")
int BPF_KRETPROBE(kretprobe_alloc, struct nf_conn *ct)
{
	struct frame frame;

	if (pop_frame(ctx, &frames, &frame, sizeof(frame)) && is_error((__u64)ct))
		handle_alloc_failed(&frame.allocation);
	return 0;
}

SEC("kprobe")
int BPF_KPROBE(kprobe_tcp_connect, struct sock *sk)
{
	handle_tcp_connect(sk);
	return 0;
}

SEC("kprobe")
int BPF_KPROBE(kprobe_udp_send, struct sk_buff *skb, struct flowi4 *flow)
{
	handle_udp_send_v4(skb, flow);
	return 0;
}

SEC("kprobe")
int BPF_KPROBE(kprobe_udp_send_v6, struct sk_buff *skb, struct flowi6 *flow)
{
	handle_udp_send_v6(skb, flow);
	return 0;
}

#endif
