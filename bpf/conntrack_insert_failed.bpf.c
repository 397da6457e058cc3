// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * One event for each packet whose new conntrack entry could not be inserted because of another
 * entry (or of the table's state).
 */
#include "emit.h"
#include "getters.h"

static const struct conntrack_insert_failed_event *unused_event __attribute__((unused, used));

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

/*
 * The sender, where it is known. UDP is sent in the sender's own context. So is the first SYN;
 * its retransmits leave from a timer, whose current process has nothing to do with them.
 */
static __always_inline void read_sender(struct event_head *head, struct sk_buff *skb)
{
	struct sock *sk = BPF_CORE_READ(skb, sk);
	__u16 protocol;
	__u8 state;

	if (!sk)
		return;
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (state == TCP_NEW_SYN_RECV || state == TCP_TIME_WAIT)
		return; /* a request or timewait socket: too short for the fields of a full one */
	read_socket_owner(head, sk);
	if (BPF_CORE_READ(skb, skb_iif))
		return;
	protocol = BPF_CORE_READ(sk, sk_protocol);
	if (protocol == IPPROTO_UDP ||
		(protocol == IPPROTO_TCP && state == TCP_SYN_SENT &&
			!BPF_CORE_READ((struct tcp_sock *)sk, total_retrans)))
		read_current(head);
}

static __always_inline void handle_insert_failed(
	struct sk_buff *skb, struct nf_conn *ct, __u8 verdict, __u8 cause, __u32 inferred)
{
	struct conntrack_insert_failed_event *event;

	event = reserve_event(sizeof(*event), EVENT_CLASS_FAULT);
	if (!event)
		return;
	__builtin_memset(event, 0, sizeof(*event));
	event->head.time_ns = bpf_ktime_get_boot_ns();
	event->head.cpu = bpf_get_smp_processor_id();
	event->head.type = EVENT_TYPE_CONNTRACK_INSERT_FAILED;
	event->head.inferred = inferred;
	read_netns(&event->head, BPF_CORE_READ(ct, ct_net.net));
	read_sender(&event->head, skb);
	read_tuple(&event->original, &ct->tuplehash[0].tuple);
	read_tuple(&event->reply, &ct->tuplehash[1].tuple);
	event->protocol = BPF_CORE_READ(ct, tuplehash[0].tuple.dst.protonum);
	if (bpf_core_field_exists(ct->zone))
		event->zone = BPF_CORE_READ(ct, zone.id);
	event->nat = nat_of(BPF_CORE_READ(ct, status));
	event->verdict = verdict;
	event->cause = cause;
	submit_event(event);
}

#define NFCT_INFO_MASK 7UL /* include/net/netfilter/nf_conntrack_common.h: NFCT_INFOMASK */

/*
 * The drop tracepoint as a backend (6.1+). A packet that netfilter dropped, whose entry has had its
 * source NAT set up but is not confirmed, was refused by the confirm step: only that comes after
 * NF_IP_PRI_NAT_SRC. Why it was refused is not visible here; under NAT it is nearly always a
 * clash, since the NAT code itself settles for a tuple in use when it finds no free one.
 */
static __always_inline void handle_drop(struct sk_buff *skb)
{
	struct nf_conn *ct = (struct nf_conn *)(BPF_CORE_READ(skb, _nfct) & ~NFCT_INFO_MASK);
	unsigned long status;
	__u8 cause = CAUSE_OTHER;

	if (!ct)
		return;
	status = BPF_CORE_READ(ct, status);
	if (!(status & IPS_SRC_NAT_DONE) || (status & IPS_CONFIRMED))
		return;
	if (status & IPS_DYING)
		cause = CAUSE_DYING;
	else if (status & (IPS_SRC_NAT | IPS_DST_NAT))
		cause = CAUSE_CLASH;
	handle_insert_failed(skb, ct, VERDICT_DROPPED, cause, INFERRED_CAUSE);
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(drop_tracepoint, struct sk_buff *skb, void *location, int reason)
{
	if (reason ==
		(int)bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_NETFILTER_DROP))
		handle_drop(skb);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
