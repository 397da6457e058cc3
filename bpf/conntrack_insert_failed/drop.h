/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CONNTRACK_DROP_H
#define TUPLEWATCH_CONNTRACK_DROP_H

/*
 * The drop tracepoint as a backend (6.1+). A packet that netfilter dropped, whose entry has had its
 * source NAT set up but is not in the table, was refused by the confirm step: only that comes after
 * NF_IP_PRI_NAT_SRC. Why it was refused is not visible here; under NAT it is nearly always a
 * clash, since the NAT code itself settles for a tuple in use when it finds no free one.
 */

#include "handlers.h"

static __always_inline void handle_drop(struct sk_buff *skb)
{
	struct nf_conn *ct = skb_conntrack(skb);
	unsigned long status;
	__u8 cause = CAUSE_OTHER;

	if (!ct)
		return;
	status = BPF_CORE_READ(ct, status);
	if (!(status & IPS_SRC_NAT_DONE) || is_in_table(ct))
		return;
	if (status & IPS_DYING)
		cause = CAUSE_DYING;
	else if (status & (IPS_SRC_NAT | IPS_DST_NAT))
		cause = CAUSE_CLASH;
	report_drop(skb, ct, cause, INFERRED_CAUSE, 0);
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(drop_tracepoint, struct sk_buff *skb, void *location, int reason)
{
	if (reason ==
		(int)bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_NETFILTER_DROP))
		handle_drop(skb);
	return 0;
}

#endif
