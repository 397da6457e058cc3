// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Counts each call that asks for a local port without a peer, notes who got which, and tells of
 * those that found none: bind(), listen() and the first datagram of a UDP socket. connect() of a
 * TCP socket chooses in another way (__inet_hash_connect), and the connect probe tells of it; also
 * of a UDP socket's that gets a port by it, of which only the count is here.
 *
 * The calls are seen where those of all protocols and of io_uring pass: inet_bind(), inet6_bind(),
 * inet_listen() and inet_autobind() (5.10 to 7.2). udp_lib_get_port() and inet_csk_get_port() below
 * them know neither the address that was asked for nor the error that the process gets.
 */
#include "request.h"
#include "kprobe.h"
#include "socket_record.h"
#include "system_call.h"

static __always_inline void exit_of_bind(struct socket *sock, struct sockaddr *address, int ret)
{
	struct asked_address asked = {};

	bpf_probe_read_kernel(&asked, sizeof(asked), address);
	handle_bind(sock->sk, &asked, ret);
}

SEC("fexit/inet_bind")
int BPF_PROG(exit_bind, struct socket *sock, struct sockaddr *address, int length, int ret)
{
	exit_of_bind(sock, address, ret);
	return 0;
}

SEC("fexit/inet6_bind")
int BPF_PROG(exit_bind_v6, struct socket *sock, struct sockaddr *address, int length, int ret)
{
	exit_of_bind(sock, address, ret);
	return 0;
}

SEC("fexit/inet_listen")
int BPF_PROG(exit_listen, struct socket *sock, int backlog, int ret)
{
	handle_listen(sock->sk, ret);
	return 0;
}

SEC("fexit/mptcp_bind")
int BPF_PROG(exit_bind_mptcp, struct socket *sock, struct sockaddr *address, int length, int ret)
{
	if (is_subflow_unseen())
		exit_of_bind(sock, address, ret);
	return 0;
}

SEC("fexit/mptcp_listen")
int BPF_PROG(exit_listen_mptcp, struct socket *sock, int backlog, int ret)
{
	if (is_subflow_unseen())
		handle_listen(sock->sk, ret);
	return 0;
}

/* The connect probe has an attempt of the socket while its connect() goes on. */
SEC("fexit/inet_autobind")
int BPF_PROG(exit_autobind, struct sock *sk, int ret)
{
	struct socket_record *record;
	bool by_connect = false;

	if (ret) {
		record = bpf_sk_storage_get(&socket_records, sk, NULL, 0);
		by_connect = record && record->attempt.is_open;
	}
	handle_autobind(sk, ret, by_connect);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
