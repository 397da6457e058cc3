/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CHALLENGE_ACK_REQUEST_H
#define TUPLEWATCH_CHALLENGE_ACK_REQUEST_H

/*
 * A connection that is still half open is a request socket, challenged by a function of its own:
 * tcp_reqsk_send_challenge_ack(), where the kernel has it. What becomes of it is not told: it has
 * no state that a tracepoint would show before it is a full socket.
 */

#include "function.h"

/*
 * The request has a limiter like a full socket's (last_oow_ack_time). What the namespace's did
 * leaves no trace that can be read here.
 */
static __always_inline __u8 request_sent(
	struct request_sock *request, const struct in_flight *in_flight)
{
	struct net *net = BPF_CORE_READ(request, __req_common.skc_net.net);
	__u32 now = BPF_CORE_READ((struct tcp_request_sock *)request, last_oow_ack_time);
	bool limited = now == in_flight->last_ack_jiffies &&
		       BPF_CORE_READ(net, ipv4.sysctl_tcp_invalid_ratelimit);

	if (limited)
		return SENT_SOCKET_LIMITED;
	if (BPF_CORE_READ(net, ipv4.sysctl_tcp_challenge_ack_limit) != __INT_MAX__)
		return SENT_UNKNOWN;
	return SENT_YES;
}

static __always_inline void handle_request_entry(
	__u64 key, struct sock *listener, struct sk_buff *skb, struct request_sock *request)
{
	struct in_flight in_flight = {.sk = (__u64)listener, .request = (__u64)request};

	in_flight.last_ack_jiffies =
		BPF_CORE_READ((struct tcp_request_sock *)request, last_oow_ack_time);
	read_segment(&in_flight.segment, skb);
	enter_call(key, &in_flight);
}

/* The owner is the listener's. */
static __always_inline void handle_request_return(
	struct sock *listener, struct request_sock *request, const struct in_flight *in_flight)
{
	struct tcp_request_sock *tcp_request = (struct tcp_request_sock *)request;
	struct sock *sk = (struct sock *)request;
	struct challenge challenge = {.trigger = TRIGGER_RST};
	struct challenge_ack_event *event;

	challenge.socket_cookie = sock_cookie(sk);
	name_segment(&challenge, &in_flight->segment);
	challenge.sent = request_sent(request, in_flight);
	event = reserve_challenge(&challenge, listener);
	if (!event)
		return;
	read_netns(&event->head, sock_net(sk));
	read_opener(&event->head, listener);
	read_addresses(&event->local, &event->peer, sk);
	event->local.port = BPF_CORE_READ(sk, __sk_common.skc_num);
	event->rcv_nxt = BPF_CORE_READ(tcp_request, rcv_nxt);
	event->snd_una = BPF_CORE_READ(tcp_request, snt_isn);
	event->tcp_state = TCP_NEW_SYN_RECV;
	submit_event(event);
}

SEC("fentry/tcp_reqsk_send_challenge_ack")
int BPF_PROG(fentry_request_challenge, struct sock *listener, struct sk_buff *skb,
	struct request_sock *request)
{
	handle_request_entry((__u64)request, listener, skb, request);
	return 0;
}

SEC("fexit/tcp_reqsk_send_challenge_ack")
int BPF_PROG(fexit_request_challenge, struct sock *listener, struct sk_buff *skb,
	struct request_sock *request)
{
	struct in_flight in_flight;

	if (leave_call((__u64)request, &in_flight))
		handle_request_return(listener, request, &in_flight);
	return 0;
}

SEC("kprobe")
int BPF_KPROBE(kprobe_request_challenge, struct sock *listener, struct sk_buff *skb,
	struct request_sock *request)
{
	handle_request_entry(PT_REGS_SP(ctx), listener, skb, request);
	return 0;
}

SEC("kretprobe")
int BPF_KPROBE(kretprobe_request_challenge)
{
	struct in_flight in_flight;

	if (leave_call(STACK_AT_RETURN(ctx), &in_flight))
		handle_request_return((struct sock *)in_flight.sk,
			(struct request_sock *)in_flight.request, &in_flight);
	return 0;
}

#endif
