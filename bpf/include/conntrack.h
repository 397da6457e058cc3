/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CONNTRACK_H
#define TUPLEWATCH_CONNTRACK_H

/* Reading conntrack entries and their tuples. */

#include "getters.h"
#include "kernel_conntrack.h"

#define NFCT_INFO_MASK 7UL /* include/net/netfilter/nf_conntrack_common.h: NFCT_INFOMASK */

static __always_inline struct nf_conn *skb_conntrack(struct sk_buff *skb)
{
	return (struct nf_conn *)(BPF_CORE_READ(skb, _nfct) & ~NFCT_INFO_MASK);
}

static __always_inline void read_nf_address(
	struct endpoint *to, const union nf_inet_addr *address, __u16 family)
{
	if (family == AF_INET6)
		bpf_core_read(to->address, sizeof(to->address), &address->in6);
	else
		set_ipv4(to, BPF_CORE_READ(address, ip));
}

/* For ICMP the port of src is the echo identifier, and that of dst is type and code. */
static __always_inline void read_tuple(struct tuple *to, const struct nf_conntrack_tuple *tuple)
{
	__u16 family = BPF_CORE_READ(tuple, src.l3num);

	read_nf_address(&to->src, &tuple->src.u3, family);
	read_nf_address(&to->dst, &tuple->dst.u3, family);
	to->src.port = bpf_ntohs(BPF_CORE_READ(tuple, src.u.all));
	to->dst.port = bpf_ntohs(BPF_CORE_READ(tuple, dst.u.all));
}

static __always_inline __u8 nat_of(unsigned long status)
{
	return (status & IPS_SRC_NAT ? NAT_SNAT : 0) | (status & IPS_DST_NAT ? NAT_DNAT : 0);
}

static __always_inline __u16 zone_id(const struct nf_conntrack_zone *zone)
{
	return bpf_core_type_exists(struct nf_conntrack_zone) ? BPF_CORE_READ(zone, id) : 0;
}

static __always_inline __u16 entry_zone_id(struct nf_conn *ct)
{
	return bpf_core_field_exists(ct->zone) ? BPF_CORE_READ(ct, zone.id) : 0;
}

/*
 * Whether an entry has got into the table. Until 6.16 (2d72afb34065, also in stable kernels)
 * __nf_conntrack_confirm() sets IPS_CONFIRMED before it looks for a clash and leaves it set; from
 * 5.19 (8a75a2c17410) an entry outside the table is in no list either.
 */
static __always_inline bool is_in_table(struct nf_conn *ct)
{
	return (BPF_CORE_READ(ct, status) & IPS_CONFIRMED) &&
	       BPF_CORE_READ(ct, tuplehash[0].hnnode.pprev);
}

/*
 * Whether an entry that was in the table, and whose memory may be another one's by now, is still in
 * force. Each way out of the table, but for the wait of an expired entry to be collected, goes
 * through nf_ct_delete(), which sets IPS_DYING (5.10 to 7.2: nf_ct_kill, nf_ct_gc_expired,
 * early_drop, ctnetlink's deletion and nf_ct_iterate_cleanup all call it).
 */
static __always_inline bool is_in_force(struct nf_conn *ct)
{
	unsigned long status = BPF_CORE_READ(ct, status);

	return (status & IPS_CONFIRMED) && !(status & IPS_DYING) &&
	       (__s32)(BPF_CORE_READ(ct, timeout) - (__u32)bpf_jiffies64()) > 0;
}

/* The entry that a tuple in the hash table belongs to: nf_ct_tuplehash_to_ctrack(). */
static __always_inline struct nf_conn *entry_of(struct nf_conntrack_tuple_hash *h)
{
	__u64 offset = bpf_core_field_offset(struct nf_conn, tuplehash);

	if (BPF_CORE_READ(h, tuple.dst.dir))
		offset += bpf_core_type_size(struct nf_conntrack_tuple_hash);
	return (struct nf_conn *)((__u64)h - offset);
}

/* The longest chain that confirm puts up with came with its counter. */
static __always_inline bool chains_are_limited(void)
{
	return bpf_core_field_exists(((struct ip_conntrack_stat *)0)->chaintoolong);
}

#endif
