/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_HOLDER_HASH_H
#define TUPLEWATCH_HOLDER_HASH_H

/*
 * Who takes up room, a user in a cgroup, as a hash with a secret: to count by it takes no table
 * that could be filled. Of 4096 one may share a flooder's place by chance.
 */

#include "kernel.h"

/* Nobody who floods a table shall know in whose place that is. Set before load. */
const volatile __u64 config_hash_secret = 0;

#define HOLDER_BITS 12
#define GOLDEN_RATIO_64 0x61C8864680B583EBULL /* include/linux/hash.h */

static __always_inline __u32 holder_hash(__u64 cgroup_id, __u32 uid)
{
	__u64 hash = (cgroup_id ^ config_hash_secret) * GOLDEN_RATIO_64 + uid;

	hash *= GOLDEN_RATIO_64;
	return (hash >> (64 - HOLDER_BITS)) & ((1 << HOLDER_BITS) - 1);
}

#endif
