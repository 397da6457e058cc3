/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CHALLENGE_ACK_FUNCTION_H
#define TUPLEWATCH_CHALLENGE_ACK_FUNCTION_H

/*
 * The function itself as a backend: entry and return of tcp_send_challenge_ack(), by fentry and
 * fexit or by kprobe and kretprobe. It is given no segment that can be relied on (none from 5.18,
 * none in the copy that compilers make for earlier kernels), so whatever may be challenged is
 * noted beforehand:
 *
 * - RST and SYN, and every segment outside ESTABLISHED, in tcp_validate_incoming();
 * - an ACK outside what was sent and not acknowledged, at the tracepoint tcp_probe, with which
 *   tcp_rcv_established() begins.
 *
 * Each challenge comes after the note of its own segment (tcp_validate_incoming, tcp_ack,
 * tcp_rcv_state_process; 5.10 to 7.2), so an old note is never read and need not be deleted.
 */

#define MAX_SEGMENTS 8192
#define MAX_CALLS 4096

#define TCP_FLAGS_OFFSET 13 /* in the header: RFC 9293, section 3.1 */
#define TCP_FLAG_SYN 0x02
#define TCP_FLAG_RST 0x04

struct segment {
	__u32 seq;
	__u32 ack;
	__u32 flags;
};

/* By address of the struct sock. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_SEGMENTS);
	__type(key, __u64);
	__type(value, struct segment);
} segments SEC(".maps");

/* What a call found at its entry, to be compared with what it leaves. */
struct call {
	__u64 sk;
	__u64 request;
	__u32 segs_out;
	__u32 last_ack_jiffies;
	struct segment segment; /* of a request socket's call */
};

/* Calls under way, by something that no two of them share: see the programs. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_CALLS);
	__type(key, __u64);
	__type(value, struct call);
} calls SEC(".maps");

static __always_inline void read_segment(struct segment *segment, struct sk_buff *skb)
{
	struct tcp_skb_cb *cb = (struct tcp_skb_cb *)__builtin_preserve_access_index(&skb->cb);

	segment->seq = BPF_CORE_READ(cb, seq);
	segment->ack = BPF_CORE_READ(cb, ack_seq);
}

static __always_inline void note_segment(struct sock *sk, struct sk_buff *skb, __u32 flags)
{
	struct segment segment = {.flags = flags};
	__u64 key = (__u64)sk;

	read_segment(&segment, skb);
	bpf_map_update_elem(&segments, &key, &segment, BPF_ANY);
}

static __always_inline void handle_validate(struct sock *sk, struct sk_buff *skb, struct tcphdr *th)
{
	__u8 flags = 0;

	bpf_probe_read_kernel(&flags, sizeof(flags), (void *)th + TCP_FLAGS_OFFSET);
	flags &= TCP_FLAG_SYN | TCP_FLAG_RST;
	if (flags || BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_ESTABLISHED)
		note_segment(sk, skb, flags);
}

static __always_inline bool before(__u32 left, __u32 right)
{
	return (__s32)(left - right) < 0;
}

/* With TCP_ESTABLISHED only; runs for each segment that such a connection receives. */
SEC("tp_btf/tcp_probe")
int BPF_PROG(note_ack, struct sock *sk, struct sk_buff *skb)
{
	struct tcp_skb_cb *cb = (struct tcp_skb_cb *)__builtin_preserve_access_index(&skb->cb);
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	__u32 ack = BPF_CORE_READ(cb, ack_seq);

	if (before(ack, BPF_CORE_READ(tp, snd_una)) || before(BPF_CORE_READ(tp, snd_nxt), ack))
		note_segment(sk, skb, 0);
	return 0;
}

/* tcp_validate_incoming() looks at RST first. */
static __always_inline __u8 trigger_of_segment(struct sock *sk, const struct segment *segment)
{
	if (segment->flags & TCP_FLAG_RST)
		return TRIGGER_RST;
	if (segment->flags & TCP_FLAG_SYN)
		return TRIGGER_SYN;
	if (before(segment->ack, BPF_CORE_READ((struct tcp_sock *)sk, snd_una)))
		return TRIGGER_ACK_TOO_OLD;
	if (before(BPF_CORE_READ((struct tcp_sock *)sk, snd_nxt), segment->ack))
		return TRIGGER_ACK_TOO_NEW;
	return TRIGGER_OTHER;
}

/* Without a limit per socket only the namespace's can have held the ACK back. */
static __always_inline __u8 limiter_of(struct net *net, bool passed_socket_limiter)
{
	if (passed_socket_limiter || !BPF_CORE_READ(net, ipv4.sysctl_tcp_invalid_ratelimit))
		return SENT_NETNS_LIMITED;
	return SENT_SOCKET_LIMITED;
}

static __always_inline void enter_call(__u64 key, const struct call *call)
{
	if (!bpf_map_update_elem(&calls, &key, call, BPF_ANY))
		return;
	count(attempted);
	count(lost);
}

static __always_inline void handle_entry(__u64 key, struct sock *sk)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	struct call call = {.sk = (__u64)sk};

	call.segs_out = BPF_CORE_READ(tp, segs_out);
	call.last_ack_jiffies = BPF_CORE_READ(tp, last_oow_ack_time);
	enter_call(key, &call);
}

/* The call that entered with `key`, which is over now. */
static __always_inline bool leave_call(__u64 key, struct call *call)
{
	struct call *found = bpf_map_lookup_elem(&calls, &key);

	if (!found)
		return false;
	*call = *found;
	bpf_map_delete_elem(&calls, &key);
	return true;
}

static __always_inline void handle_return(
	struct sock *sk, __u64 socket_cookie, const struct call *call)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	struct challenge challenge = {.socket_cookie = socket_cookie};
	__u64 key = (__u64)sk;
	struct segment *segment = bpf_map_lookup_elem(&segments, &key);

	if (segment) {
		challenge.trigger = trigger_of_segment(sk, segment);
		challenge.has_segment = true;
		challenge.seq = segment->seq;
		challenge.ack = segment->ack;
	}
	if (BPF_CORE_READ(tp, segs_out) != call->segs_out)
		challenge.sent = SENT_YES;
	else
		challenge.sent = limiter_of(sock_net(sk),
			BPF_CORE_READ(tp, last_oow_ack_time) != call->last_ack_jiffies);
	handle_challenge(sk, &challenge);
}

SEC("fentry/tcp_validate_incoming")
int BPF_PROG(fentry_validate, struct sock *sk, struct sk_buff *skb, struct tcphdr *th)
{
	handle_validate(sk, skb, th);
	return 0;
}

SEC("kprobe")
int BPF_KPROBE(kprobe_validate, struct sock *sk, struct sk_buff *skb, struct tcphdr *th)
{
	handle_validate(sk, skb, th);
	return 0;
}

/* The socket is locked: no second call for it at the same time. */
SEC("fentry/tcp_send_challenge_ack")
int BPF_PROG(fentry_challenge, struct sock *sk)
{
	handle_entry((__u64)sk, sk);
	return 0;
}

SEC("fexit/tcp_send_challenge_ack")
int BPF_PROG(fexit_challenge, struct sock *sk)
{
	struct call call;

	if (leave_call((__u64)sk, &call))
		handle_return(sk, bpf_get_socket_cookie(sk), &call);
	return 0;
}

/*
 * A kretprobe is given no arguments, and neither the thread nor the CPU tells calls apart: softirq
 * interrupts a task that works on its backlog, which may also move to another CPU. The place of the
 * return address on the stack is the call's own; a return takes it off (x86) or never pushed it.
 */
#if defined(__TARGET_ARCH_x86)
#define STACK_AT_RETURN(ctx) (PT_REGS_SP(ctx) - sizeof(__u64))
#else
#define STACK_AT_RETURN(ctx) PT_REGS_SP(ctx)
#endif

SEC("kprobe")
int BPF_KPROBE(kprobe_challenge, struct sock *sk)
{
	handle_entry(PT_REGS_SP(ctx), sk);
	return 0;
}

SEC("kretprobe")
int BPF_KPROBE(kretprobe_challenge)
{
	struct call call;

	if (leave_call(STACK_AT_RETURN(ctx), &call))
		handle_return((struct sock *)call.sk, sock_cookie((struct sock *)call.sk), &call);
	return 0;
}

/* The accepted socket; the number of arguments before it fell from four to two in 6.10. */
SEC("fexit/inet_csk_accept")
int fexit_accept(__u64 *ctx)
{
	struct sock *sk;

	if (bpf_core_type_exists(struct proto_accept_arg))
		sk = (struct sock *)ctx[2];
	else
		sk = (struct sock *)ctx[4];
	if (sk)
		remember_owner(sk);
	return 0;
}

SEC("kretprobe")
int BPF_KRETPROBE(kretprobe_accept, struct sock *sk)
{
	if (sk)
		remember_owner_by_address(sk);
	return 0;
}

#endif
