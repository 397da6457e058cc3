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
#include "flow_key.h"
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

/* The calls that come most often: a hash of kinds would cost tenfold. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} autobinds SEC(".maps");

static __always_inline void count_autobind(void)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&autobinds, &zero);

	if (count)
		__sync_fetch_and_add(count, 1);
}

/*
 * Each UDP socket without bind() comes here: by plain loads, where reads by helpers cost tenfold,
 * and with what the connect probe has noted of the process.
 */
static __always_inline void note_autobind(struct sock *sk, const struct socket_record *record)
{
	struct port_opener opener = {};
	struct sock_common *common = &sk->__sk_common;
	struct port_key key = {.protocol = IPPROTO_UDP};
	struct netns_ids netns;

	load_netns_ids(&netns, sk);
	key.netns = netns.identity;
	key.local.port = common->skc_num;
	if (common->skc_family == AF_INET6)
		load_ipv6(key.local.address, &common->skc_v6_rcv_saddr);
	else
		map_ipv4(key.local.address, common->skc_rcv_saddr);
	count_autobind();
	if (record && record->attempt.is_open) {
		opener.time_ns = record->attempt.start_ns;
		opener.cgroup_id = record->attempt.cgroup_id;
		opener.process = record->attempt.process;
		opener.sk = (__u64)sk;
	} else {
		describe_opener(&opener, sk);
	}
	note_opener(&key, &opener);
}

/* The connect probe has an attempt of the socket while its connect() goes on. */
SEC("fexit/inet_autobind")
int BPF_PROG(exit_autobind, struct sock *sk, int ret)
{
	struct socket_record *record = bpf_sk_storage_get(&socket_records, sk, NULL, 0);

	if (ret)
		handle_autobind(sk, ret, record && record->attempt.is_open);
	else if (sk->sk_protocol == IPPROTO_UDP && sk->sk_type != SOCK_RAW)
		note_autobind(sk, record);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
