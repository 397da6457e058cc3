/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_PORT_LEDGER_H
#define TUPLEWATCH_PORT_LEDGER_H

/*
 * Who opened which local port, written when it is taken: the only way to name one who is gone, and
 * whose port is in TIME_WAIT, which belongs to no process (inet_twsk_alloc() keeps no socket, net/
 * ipv4/inet_timewait_sock.c).
 *
 * It is shared out: whoever opens many ports has them in the large table, where only others who do
 * so can take the place; whoever opens few has the small one.
 */

#include "events.h"
#include "getters.h"
#include "holder_hash.h"

/* Connections of 1000 a second wait in TIME_WAIT for 60 s. */
#define MAX_PORT_OPENERS 49152
#define MAX_MODEST_PORT_OPENERS 16384

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_PORT_OPENERS);
	__type(key, struct port_key);
	__type(value, struct port_opener);
} port_openers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_MODEST_PORT_OPENERS);
	__type(key, struct port_key);
	__type(value, struct port_opener);
} modest_port_openers SEC(".maps");

/* The first 512 ports of a user in a cgroup, then eight a second, are few (GCRA, as in rate.h). */
#define MODEST_INTERVAL_NS 125000000ULL
#define MODEST_BURST_NS (512 * MODEST_INTERVAL_NS)

__u64 modest_until_ns[1 << HOLDER_BITS] = {};

static __always_inline bool is_modest(const struct port_opener *opener)
{
	__u64 *until_ns = &modest_until_ns[holder_hash(opener->cgroup_id, opener->process.uid)];
	__u64 at_ns = *until_ns > opener->time_ns ? *until_ns : opener->time_ns;

	if (at_ns - opener->time_ns >= MODEST_BURST_NS)
		return false;
	*until_ns = at_ns + MODEST_INTERVAL_NS;
	return true;
}

static __always_inline bool is_same_endpoint(
	const struct endpoint *left, const struct endpoint *right)
{
	const __u32 *a = (const __u32 *)left->address, *b = (const __u32 *)right->address;

	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] &&
	       left->port == right->port;
}

/* By the port that the socket has now; without a peer it is of one that was bound. */
static __always_inline void port_key_of(
	struct port_key *key, struct sock *sk, __u32 protocol, bool has_peer)
{
	struct endpoint none = {};

	key->netns = net_identity(sock_net(sk));
	key->protocol = protocol;
	read_endpoints(&key->local, &key->peer, sk);
	if (!has_peer)
		key->peer = none;
}

/* The other table forgets it: should this entry be pushed out, the older one would be wrong. */
static __always_inline void note_opener(
	const struct port_key *key, const struct port_opener *opener)
{
	if (is_modest(opener)) {
		bpf_map_update_elem(&modest_port_openers, key, opener, BPF_ANY);
		if (bpf_map_lookup_elem(&port_openers, key))
			bpf_map_delete_elem(&port_openers, key);
	} else {
		bpf_map_update_elem(&port_openers, key, opener, BPF_ANY);
		if (bpf_map_lookup_elem(&modest_port_openers, key))
			bpf_map_delete_elem(&modest_port_openers, key);
	}
}

/* The latest of both tables, or NULL. */
static __always_inline struct port_opener *find_opener(const struct port_key *key)
{
	struct port_opener *one = bpf_map_lookup_elem(&port_openers, key);
	struct port_opener *other = bpf_map_lookup_elem(&modest_port_openers, key);

	if (!one || !other)
		return one ? one : other;
	return one->time_ns > other->time_ns ? one : other;
}

/*
 * Whether the opener's socket is there, bound as it was and without a peer. Should its memory be
 * another socket's by now, then one that is bound to the same, of which the ledger would know.
 */
static __always_inline bool is_still_bound(
	const struct port_opener *opener, const struct port_key *key)
{
	struct sock *sk = (struct sock *)opener->sk;
	struct port_key now = {};

	if (!sk || BPF_CORE_READ(sk, __sk_common.skc_num) != key->local.port)
		return false;
	port_key_of(&now, sk, key->protocol, true);
	return now.netns == key->netns && is_same_endpoint(&now.local, &key->local) &&
	       !now.peer.port;
}

static __always_inline void describe_opener(struct port_opener *opener, struct sock *sk)
{
	__u64 id = bpf_get_current_pid_tgid();

	opener->sk = (__u64)sk;

	opener->time_ns = bpf_ktime_get_boot_ns();
	opener->cgroup_id = bpf_get_current_cgroup_id();
	opener->process.pid = id >> 32;
	opener->process.uid = (__u32)bpf_get_current_uid_gid();
	bpf_get_current_comm(opener->process.comm, sizeof(opener->process.comm));
}

#endif
