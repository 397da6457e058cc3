/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_STALE_FLOW_H
#define TUPLEWATCH_STALE_FLOW_H

/* State of the stale_flow probe: which socket opened a flow, and which one sends on it now. */

#include "conntrack.h"
#include "flow_key.h"

#define MAX_SENT_FLOWS 16384
#define MAX_USES 8192
#define MAX_CANDIDATES 1024

struct sent_key {
	struct flow_key flow;
	__u64 netns;
};

struct sender {
	struct flow_owner owner;
	__u64 socket; /* socket_identity() */
	__u64 sk;
};

/*
 * The datagrams of one tuple. The opener is whoever was the sender when the entry was confirmed:
 * the confirm step itself may run in another process, for example one that serves an NFQUEUE.
 */
struct sent_flow {
	struct sender sender;
	struct sender opener;
	__u64 entry; /* address of the struct nf_conn; 0: none was confirmed yet */
	__u64 confirmed_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_SENT_FLOWS);
	__type(key, struct sent_key);
	__type(value, struct sent_flow);
} sent_flows SEC(".maps");

/* That a socket was seen to use another one's entry, so that it is told once. */
struct use {
	__u64 socket;
	__u64 confirmed_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_USES);
	__type(key, struct use);
	__type(value, __u8);
} uses SEC(".maps");

/* A datagram under way that may take another socket's entry: by thread. */
struct candidate {
	struct sender opener;
	struct sent_key key;
	__u64 entry;
	__u64 confirmed_ns;
	__u64 sk;
	__u32 timeout; /* of the entry before, jiffies */
	__u32 since;   /* jiffies */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_CANDIDATES);
	__type(key, __u64);
	__type(value, struct candidate);
} candidates SEC(".maps");

/*
 * A cookie is never used again, unlike the address of a struct sock, which the next socket often
 * gets. Sockets without a cookie are those from before the daemon: see give_cookie().
 */
static __always_inline __u64 socket_identity(struct sock *sk)
{
	__u64 cookie = sock_cookie(sk);

	return cookie ? cookie : (__u64)sk;
}

static __always_inline void describe(
	struct sender *sender, struct sock *sk, __u64 socket, const struct netns_ids *netns)
{
	describe_sender(&sender->owner, netns);
	sender->socket = socket;
	sender->sk = (__u64)sk;
}

/*
 * Whether the socket still has the port: udp_lib_unhash() clears it when a socket is closed or
 * disconnected, before anybody else can get it. The memory may be another socket's by now. One
 * that had no cookie may have been given one since.
 */
static __always_inline bool has_port(const struct sender *sender, __u16 port)
{
	struct sock *sk = (struct sock *)sender->sk;

	return BPF_CORE_READ(sk, __sk_common.skc_num) == port &&
	       (sender->socket == sender->sk || sender->socket == sock_cookie(sk));
}

static __always_inline bool is_same(const struct sent_key *left, const struct sent_key *right)
{
	const __u64 *a = (const __u64 *)left, *b = (const __u64 *)right;

	_Static_assert(sizeof(*left) == 6 * sizeof(*a), "no padding");
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] && a[4] == b[4] &&
	       a[5] == b[5];
}

static __always_inline void key_of_entry(struct sent_key *key, struct nf_conn *ct)
{
	struct tuple original = {};

	read_tuple(&original, &ct->tuplehash[0].tuple);
	key_of_tuple(&key->flow, &original, BPF_CORE_READ(ct, tuplehash[0].tuple.dst.protonum));
	key->netns = net_identity(BPF_CORE_READ(ct, ct_net.net));
}

/* Whether a timeout of the entry began between `since` and now, in jiffies, which wrap. */
static __always_inline bool began_since(__u32 began, __u32 since)
{
	return began - since <= (__u32)bpf_jiffies64() - since;
}

/*
 * Whether a datagram has just gone by the entry: it renews the entry's timeout
 * (nf_conntrack_udp_packet, nf_ct_refresh_acct), which was `before` at `since`. One that the rules
 * exempt from tracking does not. An unchanged timeout that began while the datagram was under way
 * may have been renewed within one jiffy.
 */
static __noinline bool is_renewed(struct nf_conn *ct, __u32 before, __u32 since)
{
	struct nf_udp_net *udp = &BPF_CORE_READ(ct, ct_net.net)->ct.nf_ct_proto.udp;
	__u32 timeout = BPF_CORE_READ(ct, timeout);

	return timeout != before || began_since(timeout - BPF_CORE_READ(udp, timeouts[0]), since) ||
	       began_since(timeout - BPF_CORE_READ(udp, timeouts[1]), since);
}

/* Whether the entry at this address is in force, and one of this tuple. */
static __noinline bool has_entry(__u64 entry, const struct sent_key *key)
{
	struct nf_conn *ct = (struct nf_conn *)entry;
	struct sent_key found = {};

	if (!ct || !is_in_force(ct))
		return false;
	key_of_entry(&found, ct);
	return is_same(&found, key);
}

#endif
