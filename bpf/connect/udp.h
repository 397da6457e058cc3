/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CONNECT_UDP_H
#define TUPLEWATCH_CONNECT_UDP_H

/* Overshadowing: a bound UDP socket connects to the 4-tuple that another one is connected to. */

#include "connect.h"
#include "getters.h"

#define MAX_UDP_SOURCES 8192

/*
 * The local address that the route gave a UDP socket bound to a port only. The hook runs before
 * the route is known, so the last one seen is where a conflicting socket is looked for.
 */
struct udp_source_key {
	__u64 netns_cookie;
	struct endpoint peer;
	__u32 port;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_UDP_SOURCES);
	__type(key, struct udp_source_key);
	__type(value, struct endpoint);
} udp_sources SEC(".maps");

static __always_inline struct udp_source_key udp_source_key(const struct attempt *attempt)
{
	struct udp_source_key key = {
		.netns_cookie = attempt->netns_cookie,
		.peer = attempt->peer,
		.port = attempt->bound.port,
	};

	return key;
}

static __always_inline void remember_udp_source(const struct attempt *attempt)
{
	struct endpoint local = {}, peer = {};
	struct udp_source_key key = udp_source_key(attempt);

	if (attempt->protocol != IPPROTO_UDP || !attempt->bound.port || attempt->bound_address)
		return;
	read_endpoints(&local, &peer, (struct sock *)attempt->sk);
	bpf_map_update_elem(&udp_sources, &key, &local, BPF_ANY);
}

/* The socket that a datagram from `peer` to `local` would reach now. To be released. */
static __always_inline struct bpf_sock *lookup_udp(
	struct bpf_sock_addr *ctx, const struct endpoint *local, const struct endpoint *peer)
{
	struct bpf_sock_tuple tuple = {};

	if (is_ipv4(local) && is_ipv4(peer)) {
		tuple.ipv4.saddr = ((const __u32 *)peer->address)[3];
		tuple.ipv4.daddr = ((const __u32 *)local->address)[3];
		tuple.ipv4.sport = bpf_htons(peer->port);
		tuple.ipv4.dport = bpf_htons(local->port);
		return bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	__builtin_memcpy(tuple.ipv6.saddr, peer->address, sizeof(tuple.ipv6.saddr));
	__builtin_memcpy(tuple.ipv6.daddr, local->address, sizeof(tuple.ipv6.daddr));
	tuple.ipv6.sport = bpf_htons(peer->port);
	tuple.ipv6.dport = bpf_htons(local->port);
	return bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
}

/* The verifier forbids reading a looked-up socket by offset; through a map it is a plain address.
 */
static __always_inline struct sock *plain_address(struct bpf_sock *sk, __u64 *scratch)
{
	*(volatile __u64 *)scratch = (__u64)sk;
	return (struct sock *)*(volatile __u64 *)scratch;
}

static __always_inline void describe_conflict(
	struct bpf_sock *other, __u64 cookie, const struct endpoint *local, struct attempt *attempt)
{
	__u64 other_cookie = sock_cookie(plain_address(other, &attempt->conflict_cookie));
	struct socket_record *record;

	if (other->state != TCP_ESTABLISHED || other_cookie == cookie)
		return;
	attempt->has_conflict = 1;
	attempt->conflict_local = *local;
	attempt->conflict_cookie = other_cookie;
	record = bpf_sk_storage_get(&socket_records, other, NULL, 0);
	if (record)
		attempt->conflict_process = record->opener;
	else
		__builtin_memset(&attempt->conflict_process, 0, sizeof(attempt->conflict_process));
}

static __always_inline void find_udp_conflict(
	struct bpf_sock_addr *ctx, __u64 cookie, struct attempt *attempt)
{
	struct udp_source_key key = udp_source_key(attempt);
	struct endpoint local = attempt->bound;
	struct socket_record *record;
	struct endpoint *remembered;
	struct bpf_sock *other;

	if (attempt->protocol != IPPROTO_UDP || !attempt->bound.port)
		return;
	record = bpf_sk_storage_get(&socket_records, ctx->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!record)
		return;
	record->opener = attempt->process;
	if (!attempt->bound_address) {
		remembered = bpf_map_lookup_elem(&udp_sources, &key);
		if (remembered)
			local = *remembered;
	}
	other = lookup_udp(ctx, &local, &attempt->peer);
	if (other) {
		describe_conflict(other, cookie, &local, attempt);
		bpf_sk_release(other);
	}
}

#endif
