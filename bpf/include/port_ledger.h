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
 *
 * A table is an array of sets of four places, of which the key's hash chooses one, and the oldest
 * in it gives way: an LRU hash costs ten times as much, for each connection. Two writers that meet
 * in a place at the same instant may mix two entries.
 */

#include "events.h"
#include "getters.h"
#include "holder_hash.h"

#define PLACES 4

/* Connections of 1000 a second wait in TIME_WAIT for 60 s. */
#define MAX_PORT_OPENERS 65536
#define MAX_MODEST_PORT_OPENERS 16384

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_PORT_OPENERS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct port_entry);
} port_openers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_MODEST_PORT_OPENERS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct port_entry);
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

/* Nobody who floods a table shall know in whose place that is. */
static __always_inline __u64 hash_of(const struct port_key *key)
{
	const __u64 *words = (const __u64 *)key;
	__u64 hash = config_hash_secret;

	_Static_assert(sizeof(*key) == 7 * sizeof(*words), "the last word has the protocol");
	/* A product carries upwards only: addresses differ in their last byte, a word's highest. */
	for (int index = 0; index < 6; index++) {
		hash = (hash ^ words[index]) * GOLDEN_RATIO_64;
		hash ^= hash >> 32;
	}
	hash = (hash ^ key->protocol) * GOLDEN_RATIO_64;
	return hash ^ hash >> 32;
}

/* Sets the key's fingerprint. Returns the hash. */
static __always_inline __u64 seal(struct port_key *key)
{
	__u64 hash = hash_of(key);

	key->fingerprint = (__u32)hash;
	return hash;
}

static __always_inline bool is_same_key(const struct port_key *one, const struct port_key *other)
{
	const __u64 *a = (const __u64 *)one, *b = (const __u64 *)other;

	return a[6] == b[6] && a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] &&
	       a[4] == b[4] && a[5] == b[5];
}

/* The first place of the set in a table of `size`, by the upper bits of the hash. */
static __always_inline __u32 set_of(__u64 hash, __u32 size)
{
	return (__u32)(hash >> 32) % (size / PLACES) * PLACES;
}

static __always_inline struct port_entry *find_entry(
	void *table, __u32 size, const struct port_key *key, __u64 hash)
{
	__u32 first = set_of(hash, size);

	for (__u32 place = 0; place < PLACES; place++) {
		__u32 index = first + place;
		struct port_entry *entry = bpf_map_lookup_elem(table, &index);

		if (entry && entry->opener.time_ns && is_same_key(&entry->key, key))
			return entry;
	}
	return NULL;
}

/* Where the key is, or the oldest of its set. */
static __always_inline struct port_entry *place_for(
	void *table, __u32 size, const struct port_key *key, __u64 hash)
{
	struct port_entry *oldest = NULL;
	__u32 first = set_of(hash, size);

	for (__u32 place = 0; place < PLACES; place++) {
		__u32 index = first + place;
		struct port_entry *entry = bpf_map_lookup_elem(table, &index);

		if (!entry)
			return NULL;
		if (is_same_key(&entry->key, key))
			return entry;
		if (!oldest || entry->opener.time_ns < oldest->opener.time_ns)
			oldest = entry;
	}
	return oldest;
}

static __always_inline void write_entry(
	struct port_entry *entry, const struct port_key *key, const struct port_opener *opener)
{
	if (!entry)
		return;
	*(volatile __u64 *)&entry->opener.time_ns = 0;
	entry->key = *key;
	entry->opener.cgroup_id = opener->cgroup_id;
	entry->opener.sk = opener->sk;
	entry->opener.process = opener->process;
	entry->opener.is_bound = opener->is_bound;
	entry->opener.is_fixed = opener->is_fixed;
	*(volatile __u64 *)&entry->opener.time_ns = opener->time_ns;
}

static __always_inline void forget_entry(struct port_entry *entry)
{
	if (entry)
		*(volatile __u64 *)&entry->opener.time_ns = 0;
}

/* Until somebody opens many ports, the large table needs no look. */
bool some_open_many = false;

/* The other table forgets it: should this entry be pushed out, the older one would be wrong. */
static __always_inline void note_opener(struct port_key *key, const struct port_opener *opener)
{
	__u64 hash = seal(key);

	if (is_modest(opener)) {
		write_entry(place_for(&modest_port_openers, MAX_MODEST_PORT_OPENERS, key, hash),
			key, opener);
		if (some_open_many)
			forget_entry(find_entry(&port_openers, MAX_PORT_OPENERS, key, hash));
	} else {
		some_open_many = true;
		write_entry(place_for(&port_openers, MAX_PORT_OPENERS, key, hash), key, opener);
		forget_entry(find_entry(&modest_port_openers, MAX_MODEST_PORT_OPENERS, key, hash));
	}
}

/* NULL: nobody is known. */
static __always_inline struct port_opener *find_opener(struct port_key *key)
{
	__u64 hash = seal(key);
	struct port_entry *entry = find_entry(&port_openers, MAX_PORT_OPENERS, key, hash);

	if (!entry)
		entry = find_entry(&modest_port_openers, MAX_MODEST_PORT_OPENERS, key, hash);
	return entry ? &entry->opener : NULL;
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
