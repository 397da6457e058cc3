/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_PORT_BIND_KPROBE_H
#define TUPLEWATCH_PORT_BIND_KPROBE_H

/* The kprobe backend. */

#include "frames.h"
#include "request.h"

#define MAX_FRAMES 4096

/* What a call was given, for its return. */
struct frame {
	struct sock *sk;
	struct asked_address asked;
	bool by_connect;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_FRAMES);
	__type(key, __u64);
	__type(value, struct frame);
} frames SEC(".maps");

/* Threads in a UDP socket's connect(). */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_FRAMES);
	__type(key, __u64);
	__type(value, __u8);
} connecting SEC(".maps");

static __always_inline void enter_socket_call(
	struct pt_regs *ctx, struct socket *sock, struct sockaddr *address)
{
	struct frame frame = {.sk = BPF_CORE_READ(sock, sk)};

	if (address)
		bpf_probe_read_kernel(&frame.asked, sizeof(frame.asked), address);
	push_frame(ctx, &frames, &frame);
}

SEC("kprobe")
int BPF_KPROBE(kprobe_bind, struct socket *sock, struct sockaddr *address)
{
	enter_socket_call(ctx, sock, address);
	return 0;
}

SEC("kretprobe")
int BPF_KRETPROBE(kretprobe_bind, int ret)
{
	struct frame frame;

	if (pop_frame(ctx, &frames, &frame, sizeof(frame)))
		handle_bind(frame.sk, &frame.asked, ret);
	return 0;
}

SEC("kprobe")
int BPF_KPROBE(kprobe_bind_v6, struct socket *sock, struct sockaddr *address)
{
	enter_socket_call(ctx, sock, address);
	return 0;
}

SEC("kretprobe")
int BPF_KRETPROBE(kretprobe_bind_v6, int ret)
{
	struct frame frame;

	if (pop_frame(ctx, &frames, &frame, sizeof(frame)))
		handle_bind(frame.sk, &frame.asked, ret);
	return 0;
}

SEC("kprobe")
int BPF_KPROBE(kprobe_bind_mptcp, struct socket *sock, struct sockaddr *address)
{
	if (is_subflow_unseen())
		enter_socket_call(ctx, sock, address);
	return 0;
}

SEC("kretprobe")
int BPF_KRETPROBE(kretprobe_bind_mptcp, int ret)
{
	struct frame frame;

	if (pop_frame(ctx, &frames, &frame, sizeof(frame)))
		handle_bind(frame.sk, &frame.asked, ret);
	return 0;
}

SEC("kprobe")
int BPF_KPROBE(kprobe_listen_mptcp, struct socket *sock)
{
	if (is_subflow_unseen())
		enter_socket_call(ctx, sock, NULL);
	return 0;
}

SEC("kretprobe")
int BPF_KRETPROBE(kretprobe_listen_mptcp, int ret)
{
	struct frame frame;

	if (pop_frame(ctx, &frames, &frame, sizeof(frame)))
		handle_listen(frame.sk, ret);
	return 0;
}

SEC("kprobe")
int BPF_KPROBE(kprobe_listen, struct socket *sock)
{
	enter_socket_call(ctx, sock, NULL);
	return 0;
}

SEC("kretprobe")
int BPF_KRETPROBE(kretprobe_listen, int ret)
{
	struct frame frame;

	if (pop_frame(ctx, &frames, &frame, sizeof(frame)))
		handle_listen(frame.sk, ret);
	return 0;
}

SEC("kprobe")
int BPF_KPROBE(kprobe_udp_connect)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u8 on = 1;

	bpf_map_update_elem(&connecting, &thread, &on, BPF_ANY);
	return 0;
}

SEC("kretprobe")
int BPF_KRETPROBE(kretprobe_udp_connect)
{
	__u64 thread = bpf_get_current_pid_tgid();

	bpf_map_delete_elem(&connecting, &thread);
	return 0;
}

SEC("kprobe")
int BPF_KPROBE(kprobe_autobind, struct sock *sk)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct frame frame = {.sk = sk};

	frame.by_connect = bpf_map_lookup_elem(&connecting, &thread) != NULL;
	push_frame(ctx, &frames, &frame);
	return 0;
}

SEC("kretprobe")
int BPF_KRETPROBE(kretprobe_autobind, int ret)
{
	struct frame frame;

	if (pop_frame(ctx, &frames, &frame, sizeof(frame)))
		handle_autobind(frame.sk, ret, frame.by_connect);
	return 0;
}

#endif
