/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_KERNEL_CONNTRACK_H
#define TUPLEWATCH_KERNEL_CONNTRACK_H

/* As kernel.h, for what nf_conntrack defines. */
#include "kernel.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

union nf_inet_addr {
	__be32 ip;
	struct in6_addr in6;
};

union nf_conntrack_man_proto {
	__be16 all;
};

struct nf_conntrack_man {
	union nf_inet_addr u3;
	union nf_conntrack_man_proto u;
	__u16 l3num;
};

struct nf_conntrack_tuple {
	struct nf_conntrack_man src;
	struct {
		union nf_inet_addr u3;
		union {
			__be16 all;
		} u;
		__u8 protonum;
		__u8 dir;
	} dst;
};

struct hlist_nulls_node {
	struct hlist_nulls_node **pprev;
};

struct nf_conntrack_tuple_hash {
	struct hlist_nulls_node hnnode;
	struct nf_conntrack_tuple tuple;
};

struct ip_conntrack_stat {
	unsigned int chaintoolong; /* since 5.15 (c4edc3ccbc63 and d7e7747ac5c2) */
};

struct nf_conntrack_zone {
	__u16 id;
};

struct nf_conn {
	struct nf_conntrack_zone zone;
	struct nf_conntrack_tuple_hash tuplehash[2];
	unsigned long status;
	__u32 timeout;
	possible_net_t ct_net;
};

enum ip_conntrack_status {
	IPS_CONFIRMED = 1 << 3,
	IPS_SRC_NAT = 1 << 4,
	IPS_DST_NAT = 1 << 5,
	IPS_SRC_NAT_DONE = 1 << 7,
	IPS_DYING = 1 << 9,
};

#pragma clang attribute pop

#endif
