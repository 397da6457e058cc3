/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_ATTEMPTS_IN_TABLE_H
#define TUPLEWATCH_ATTEMPTS_IN_TABLE_H

/*
 * Attempts in a table: where a result comes to a program that knows its socket by a number only, or
 * the kernel is older than storage in tracing. Whoever deletes an attempt owns it.
 *
 * The table has an end, so it is shared out: nobody may hold more of it than is left free (a
 * dynamic threshold, Choudhury and Hahne, IEEE/ACM Transactions on Networking 6 (1998), 130). One
 * who floods it gets half, two get a third each, and somebody new always finds room.
 */

#include "connect.h"
#include "getters.h"
#include "holder_hash.h"

#define MAX_ATTEMPTS 32768

#define ref_of(sk) sock_cookie(sk)
#define ref_in_hook(ctx, cookie) (cookie)
#define ref_in_release(ctx) bpf_get_socket_cookie(ctx)

/* By socket cookie, which is never used again, so that a leftover can match no other socket. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ATTEMPTS);
	__type(key, __u64);
	__type(value, struct attempt);
} attempts SEC(".maps");

__s64 attempts_held = 0;
__s64 held_by[1 << HOLDER_BITS] = {};

static const struct attempt empty_attempt;

static __always_inline __s64 *held_by_holder(__u64 cgroup_id, __u32 uid)
{
	return &held_by[holder_hash(cgroup_id, uid)];
}

static __always_inline void add_held(const struct attempt *attempt, __s64 by)
{
	__s64 *held = held_by_holder(attempt->cgroup_id, attempt->process.uid);

	__sync_fetch_and_add(held, by);
	__sync_fetch_and_add(&attempts_held, by);
}

static __always_inline bool has_share(void)
{
	__u64 cgroup_id = bpf_get_current_cgroup_id();
	__u32 uid = (__u32)bpf_get_current_uid_gid();

	return *held_by_holder(cgroup_id, uid) < MAX_ATTEMPTS - attempts_held;
}

/* An attempt to be filled in; NULL: there is no room. What another one of the socket left goes. */
static __always_inline struct attempt *new_attempt(struct bpf_sock_addr *ctx)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct attempt *before = bpf_map_lookup_elem(&attempts, &cookie), left;

	if (before) {
		left = *before;
		if (!bpf_map_delete_elem(&attempts, &cookie))
			add_held(&left, -1);
	}
	if (!has_share() || bpf_map_update_elem(&attempts, &cookie, &empty_attempt, BPF_ANY))
		return NULL;
	return bpf_map_lookup_elem(&attempts, &cookie);
}

static __always_inline void open_attempt(struct attempt *attempt)
{
	attempt->is_open = 1;
	add_held(attempt, 1);
}

static __always_inline struct attempt *find_attempt(socket_ref ref)
{
	return bpf_map_lookup_elem(&attempts, &ref);
}

/* Whoever takes an attempt first owns it: then it is in `room`. */
static __always_inline struct attempt *take_attempt(socket_ref ref, struct attempt *room)
{
	struct attempt *found = bpf_map_lookup_elem(&attempts, &ref);

	if (!found)
		return NULL;
	*room = *found;
	if (bpf_map_delete_elem(&attempts, &ref))
		return NULL;
	add_held(room, -1);
	return room;
}

#endif
