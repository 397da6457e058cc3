/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_GETTERS_H
#define TUPLEWATCH_GETTERS_H

/* Reading sockets, namespaces and addresses; each difference between kernels is in one getter. */

#include "events.h"
#include "kernel.h"

static __always_inline void set_ipv4(struct endpoint *to, __be32 address)
{
	__u32 *words = (__u32 *)to->address;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = address;
}

static __always_inline void set_ipv6(struct endpoint *to, const struct in6_addr *address)
{
	__builtin_memcpy(to->address, address, sizeof(to->address));
}

static __always_inline struct net *sock_net(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net);
}

/*
 * The namespace's cookie is a plain u64 from 5.15 (3d368ab87cf6) and set before any socket; older
 * kernels give it one when it is first asked for, so here it may be 0, which is no cookie.
 */
static __always_inline __u64 net_cookie(struct net *net)
{
	if (bpf_core_field_exists(net->net_cookie))
		return BPF_CORE_READ(net, net_cookie);
	return BPF_CORE_READ((struct net___atomic_cookie *)net, net_cookie.counter);
}

/*
 * For keys. Before 5.15 it may be given its cookie at any time, so there it is known by its number,
 * which is unique only while it exists.
 */
static __always_inline __u64 net_identity(struct net *net)
{
	if (bpf_core_field_exists(net->net_cookie))
		return BPF_CORE_READ(net, net_cookie);
	return BPF_CORE_READ(net, ns.inum);
}

/* A network namespace, as records and keys have it. */
struct netns_ids {
	__u64 cookie;
	__u64 identity; /* net_identity() */
	__u64 inum;
};

static __always_inline void read_netns_ids(struct netns_ids *ids, struct net *net)
{
	ids->cookie = net_cookie(net);
	ids->inum = BPF_CORE_READ(net, ns.inum);
	ids->identity = bpf_core_field_exists(net->net_cookie) ? ids->cookie : ids->inum;
}

/* The same by plain loads, for programs that are given the socket as such. */
static __always_inline void load_netns_ids(struct netns_ids *ids, struct sock *sk)
{
	struct net *net = sk->__sk_common.skc_net.net;

	ids->cookie = bpf_core_field_exists(net->net_cookie)
			      ? net->net_cookie
			      : ((struct net___atomic_cookie *)net)->net_cookie.counter;
	ids->inum = net->ns.inum;
	ids->identity = bpf_core_field_exists(net->net_cookie) ? ids->cookie : ids->inum;
}

static __always_inline void read_netns(struct event_head *head, struct net *net)
{
	head->netns_cookie = net_cookie(net);
	head->netns_inum = BPF_CORE_READ(net, ns.inum);
}

static __always_inline __u64 sock_cookie(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
}

static __always_inline void read_current(struct event_head *head)
{
	__u64 id = bpf_get_current_pid_tgid();

	head->process.pid = id >> 32;
	head->process.uid = (__u32)bpf_get_current_uid_gid();
	bpf_get_current_comm(head->process.comm, sizeof(head->process.comm));
	head->attribution = ATTRIBUTION_CURRENT;
}

/*
 * The current process as one that sends in this namespace. While it is written there is no time in
 * it, by which readers on other CPUs know: see copy_owner().
 */
static __always_inline void describe_sender(struct flow_owner *owner, const struct netns_ids *ids)
{
	__u64 id = bpf_get_current_pid_tgid();

	*(volatile __u64 *)&owner->time_ns = 0;
	owner->netns_cookie = ids->cookie;
	owner->netns_inum = ids->inum;
	owner->cgroup_id = bpf_get_current_cgroup_id();
	owner->process.pid = id >> 32;
	owner->process.uid = (__u32)bpf_get_current_uid_gid();
	bpf_get_current_comm(owner->process.comm, sizeof(owner->process.comm));
	*(volatile __u64 *)&owner->time_ns = bpf_ktime_get_boot_ns();
}

/* Leaves `to` zero where the other is being written. */
static __always_inline void copy_owner(struct flow_owner *to, const struct flow_owner *from)
{
	__u64 time_ns = *(const volatile __u64 *)&from->time_ns;

	*to = *from;
	if (!time_ns || *(const volatile __u64 *)&from->time_ns != time_ns)
		__builtin_memset(to, 0, sizeof(*to));
}

/* Id of the cgroup that a full socket was made in, 0 where the kernel kept none. */
static __always_inline __u64 sock_cgroup_id(struct sock *sk)
{
	struct sock_cgroup_data___packed *packed;
	__u64 value;

	if (bpf_core_field_exists(sk->sk_cgrp_data.cgroup))
		return BPF_CORE_READ(sk, sk_cgrp_data.cgroup, kn, id);
	packed = (struct sock_cgroup_data___packed *)&sk->sk_cgrp_data;
	value = BPF_CORE_READ(packed, val);
	return value & 1 ? 0 : BPF_CORE_READ((struct cgroup *)value, kn, id);
}

/* What a full socket tells of its owner: no process, but the user and the cgroup it was made in. */
static __always_inline void read_socket_owner(struct event_head *head, struct sock *sk)
{
	head->process.uid = BPF_CORE_READ(sk, sk_uid.val);
	head->cgroup_id = sock_cgroup_id(sk);
	head->attribution = ATTRIBUTION_SOCKET;
}

/*
 * inet_sport outlives skc_num: tcp_set_state(CLOSE) calls inet_put_port(), which clears the
 * latter, before the tracepoint fires.
 */
static __always_inline __u16 sock_local_port(struct sock *sk)
{
	return bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
}

/* IP_LOCAL_PORT_RANGE as high << 16 | low; 0: the socket has none of its own, or none is known. */
static __always_inline __u32 sock_port_range(struct sock *sk)
{
	struct inet_sock *inet = (struct inet_sock *)sk;
	struct inet_sock___two_ports *two = (struct inet_sock___two_ports *)sk;

	if (bpf_core_field_exists(inet->local_port_range))
		return BPF_CORE_READ(inet, local_port_range);
	if (bpf_core_field_exists(two->local_port_range.lo))
		return BPF_CORE_READ(two, local_port_range.hi) << 16 |
		       BPF_CORE_READ(two, local_port_range.lo);
	return 0;
}

/* SO_REUSEADDR or SO_REUSEPORT: it may share its port. */
static __always_inline bool may_share_port(struct sock *sk)
{
	return BPF_CORE_READ_BITFIELD_PROBED(&sk->__sk_common, skc_reuse) ||
	       BPF_CORE_READ_BITFIELD_PROBED(&sk->__sk_common, skc_reuseport);
}

static __always_inline bool is_ipv4(const struct endpoint *endpoint)
{
	const __u32 *words = (const __u32 *)endpoint->address;

	return !words[0] && !words[1] && words[2] == bpf_htonl(0xffff);
}

/* The addresses of a full socket or, since they are in sock_common, of a request socket. */
static __always_inline void read_addresses(
	struct endpoint *local, struct endpoint *peer, struct sock *sk)
{
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6) {
		BPF_CORE_READ_INTO(&local->address, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&peer->address, sk, __sk_common.skc_v6_daddr);
	} else {
		set_ipv4(local, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
		set_ipv4(peer, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	}
	peer->port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
}

static __always_inline void read_endpoints(
	struct endpoint *local, struct endpoint *peer, struct sock *sk)
{
	read_addresses(local, peer, sk);
	local->port = sock_local_port(sk);
}

#endif
