/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_ATTEMPTS_IN_SOCKETS_H
#define TUPLEWATCH_ATTEMPTS_IN_SOCKETS_H

/*
 * Attempts in the storage of their sockets: where each program is given the socket itself, and may
 * exchange atomically (5.12, 5ffa25502b5a). There is room for one whenever there is for its socket,
 * so that no user's attempts take the place of another's.
 */

#include "connect.h"

#define ref_of(sk) ((socket_ref)(sk))
#define ref_in_hook(ctx, cookie) ((socket_ref)(ctx)->sk)
#define ref_in_release(ctx) ((socket_ref)(ctx))

/* An attempt to be filled in, which nobody takes before it is open; NULL: there is no memory. */
static __always_inline struct attempt *new_attempt(struct bpf_sock_addr *ctx)
{
	struct socket_record *record;

	record = bpf_sk_storage_get(&socket_records, ctx->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	return record ? &record->attempt : NULL;
}

static __always_inline void open_attempt(struct attempt *attempt)
{
	struct socket_record *record = container_of(attempt, struct socket_record, attempt);

	record->opener = attempt->process;
	attempt->is_open = 1;
}

static __always_inline struct attempt *find_attempt(socket_ref ref)
{
	struct socket_record *record = bpf_sk_storage_get(&socket_records, ref, NULL, 0);

	return record && record->attempt.is_open ? &record->attempt : NULL;
}

/* Whoever takes an attempt first owns it. `room` is for those that do not stay where they are. */
static __always_inline struct attempt *take_attempt(socket_ref ref, struct attempt *room)
{
	struct attempt *attempt = find_attempt(ref);

	if (!attempt || __sync_val_compare_and_swap(&attempt->is_open, 1, 0) != 1)
		return NULL;
	return attempt;
}

#endif
