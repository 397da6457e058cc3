/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CONNECT_UDP_SHARING_H
#define TUPLEWATCH_CONNECT_UDP_SHARING_H

/*
 * Overshadowing where the kernel chose the port: of sockets that may share one (SO_REUSEADDR,
 * SO_REUSEPORT) udp_lib_get_port() gives the same to several. inet_autobind() does so after the
 * connect hook, which therefore cannot look for the other socket: the 4-tuples of such sockets are
 * kept from the successful end of their connects.
 */

#include "connect.h"
#include "getters.h"

#define MAX_UDP_TUPLES 8192

struct udp_tuple {
	__u64 netns_identity;
	struct endpoint local;
	struct endpoint peer;
	__u32 bound_dev_if; /* sockets of two devices do not get each other's datagrams */
	__u32 pad;
};

/* The socket that connected to the tuple last. */
struct udp_tuple_owner {
	__u64 cookie;
	__u64 sk; /* address of the struct sock, which may be gone */
	struct process process;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_UDP_TUPLES);
	__type(key, struct udp_tuple);
	__type(value, struct udp_tuple_owner);
} udp_tuples SEC(".maps");

/*
 * The port is skc_num: udp_lib_unhash() clears it when the socket is closed, and __udp_disconnect()
 * by it (5.10 to 7.2), while inet_sport may stay.
 */
static __always_inline void read_udp_tuple(struct udp_tuple *tuple, struct sock *sk)
{
	tuple->netns_identity = net_identity(sock_net(sk));
	read_addresses(&tuple->local, &tuple->peer, sk);
	tuple->local.port = BPF_CORE_READ(sk, __sk_common.skc_num);
	tuple->bound_dev_if = BPF_CORE_READ(sk, __sk_common.skc_bound_dev_if);
}

static __always_inline bool is_same_tuple(
	const struct udp_tuple *one, const struct udp_tuple *other)
{
	const __u64 *a = (const __u64 *)one, *b = (const __u64 *)other;

	_Static_assert(sizeof(*one) == 7 * sizeof(*a), "no padding");
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] && a[4] == b[4] &&
	       a[5] == b[5] && a[6] == b[6];
}

/* Its memory may be another socket's by now, but that has another cookie. */
static __always_inline bool still_has(
	const struct udp_tuple_owner *owner, const struct udp_tuple *tuple)
{
	struct sock *sk = (struct sock *)owner->sk;
	struct udp_tuple now = {};

	if (sock_cookie(sk) != owner->cookie ||
		BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_ESTABLISHED)
		return false;
	read_udp_tuple(&now, sk);
	return is_same_tuple(&now, tuple);
}

/* Find the conflict of a connected UDP socket that the hook could not see. */
static __noinline void note_udp_tuple(struct attempt *attempt)
{
	struct sock *sk = (struct sock *)attempt->sk;
	struct udp_tuple tuple = {};
	struct udp_tuple_owner owner, *last;

	read_udp_tuple(&tuple, sk);
	owner.cookie = sock_cookie(sk);
	owner.sk = attempt->sk;
	owner.process = attempt->process;
	last = bpf_map_lookup_elem(&udp_tuples, &tuple);
	if (!attempt->has_conflict && last && last->cookie != owner.cookie &&
		still_has(last, &tuple)) {
		attempt->has_conflict = 1;
		attempt->conflict_local = tuple.local;
		attempt->conflict_cookie = last->cookie;
		attempt->conflict_process = last->process;
	}
	bpf_map_update_elem(&udp_tuples, &tuple, &owner, BPF_ANY);
}

#endif
