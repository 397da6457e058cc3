/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CHALLENGE_ACK_FUNCTION_H
#define TUPLEWATCH_CHALLENGE_ACK_FUNCTION_H

/*
 * The function itself as a backend: entry and return of tcp_send_challenge_ack(), by fentry and
 * fexit or by kprobe and kretprobe. It is given no segment that can be relied on (none from 5.18,
 * none in the copy that compilers make for earlier kernels), hence the notes.
 */

#include "segment.h"

#define MAX_CALLS 4096

/* What a call found at its entry, to be compared with what it leaves. */
struct in_flight {
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
	__type(value, struct in_flight);
} calls SEC(".maps");

static __always_inline void enter_call(__u64 key, const struct in_flight *in_flight)
{
	if (!bpf_map_update_elem(&calls, &key, in_flight, BPF_ANY))
		return;
	count(attempted);
	count(lost);
}

static __always_inline void handle_entry(__u64 key, struct sock *sk)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	struct in_flight in_flight = {.sk = (__u64)sk};

	in_flight.segs_out = BPF_CORE_READ(tp, segs_out);
	in_flight.last_ack_jiffies = BPF_CORE_READ(tp, last_oow_ack_time);
	enter_call(key, &in_flight);
}

/* The call that entered with `key`, which is over now. */
static __always_inline bool leave_call(__u64 key, struct in_flight *in_flight)
{
	struct in_flight *found = bpf_map_lookup_elem(&calls, &key);

	if (!found)
		return false;
	*in_flight = *found;
	bpf_map_delete_elem(&calls, &key);
	return true;
}

static __always_inline void handle_return(
	struct sock *sk, __u64 socket_cookie, const struct in_flight *in_flight)
{
	struct challenge challenge = {.socket_cookie = socket_cookie};
	struct segment *segment = find_segment(sk);

	if (segment) {
		challenge.trigger = trigger_of_segment(sk, segment);
		name_segment(&challenge, segment);
	}
	challenge.sent = sent_since(sk, in_flight->segs_out, in_flight->last_ack_jiffies);
	handle_challenge(sk, &challenge);
}

SEC("fentry/tcp_validate_incoming")
int BPF_PROG(fentry_validate, struct sock *sk, struct sk_buff *skb)
{
	if (sk->__sk_common.skc_state != TCP_ESTABLISHED)
		note_segment(sk, skb);
	return 0;
}

/* note_segment(), for a program that may not load from a socket. */
static __always_inline void note_segment_at(struct sock *sk, struct sk_buff *skb)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	struct segment segment = {.is_noted = 1};

	read_segment(&segment, skb);
	if (!segment.flags && !before(segment.ack, BPF_CORE_READ(tp, snd_una)) &&
		!before(BPF_CORE_READ(tp, snd_nxt), segment.ack))
		return;
	segment.segs_out = BPF_CORE_READ(tp, segs_out);
	segment.last_ack_jiffies = BPF_CORE_READ(tp, last_oow_ack_time);
	keep_segment(sk, &segment);
}

SEC("kprobe")
int BPF_KPROBE(kprobe_validate, struct sock *sk, struct sk_buff *skb)
{
	if (BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_ESTABLISHED)
		note_segment_at(sk, skb);
	return 0;
}

SEC("fentry/tcp_send_challenge_ack")
int BPF_PROG(fentry_challenge, struct sock *sk)
{
	handle_entry((__u64)sk, sk);
	return 0;
}

SEC("fexit/tcp_send_challenge_ack")
int BPF_PROG(fexit_challenge, struct sock *sk)
{
	struct in_flight in_flight;

	if (leave_call((__u64)sk, &in_flight))
		handle_return(sk, bpf_get_socket_cookie(sk), &in_flight);
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
	struct in_flight in_flight;

	if (leave_call(STACK_AT_RETURN(ctx), &in_flight))
		handle_return((struct sock *)in_flight.sk, sock_cookie((struct sock *)in_flight.sk),
			&in_flight);
	return 0;
}

/* fexit gets the result behind the arguments; their number fell from four to two in 6.10. */
static __always_inline struct sock *accepted_socket(__u64 *ctx)
{
	struct sock *sk;

	if (!bpf_core_type_exists(struct proto_accept_arg))
		return (struct sock *)ctx[4];
	sk = (struct sock *)ctx[2];
	/* One load with an offset that is not constant would be refused. */
	barrier_var(sk);
	return sk;
}

SEC("fexit/inet_csk_accept")
int fexit_accept(__u64 *ctx)
{
	struct sock *sk = accepted_socket(ctx);

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
