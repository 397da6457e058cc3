/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CONNECT_EVENT_H
#define TUPLEWATCH_CONNECT_EVENT_H

/* The event of an attempt whose result is known. */
#include "emit.h"
#include "getters.h"
#include "connect.h"
#include "udp.h"

#define SOCK_BINDPORT_LOCK 8 /* include/net/sock.h */

/* bind(addr, 0) picks a port at once, unless IP_BIND_ADDRESS_NO_PORT puts that off (ip(7)). */
static __always_inline __u8 technique_of(const struct attempt *attempt, struct sock *sk)
{
	if (!attempt->bound.port)
		return attempt->bound_address ? TECHNIQUE_BIND_ADDRESS_NO_PORT : TECHNIQUE_PLAIN;
	if (!(BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & SOCK_BINDPORT_LOCK))
		return TECHNIQUE_BIND_BEFORE_CONNECT;
	if (BPF_CORE_READ_BITFIELD_PROBED(&sk->__sk_common, skc_reuse) ||
		BPF_CORE_READ_BITFIELD_PROBED(&sk->__sk_common, skc_reuseport))
		return TECHNIQUE_REUSEADDR;
	return TECHNIQUE_BOUND_PORT;
}

static __always_inline void fill_conflict(
	struct connect_event *event, const struct attempt *attempt)
{
	event->has_conflict = attempt->has_conflict;
	event->conflict_local = attempt->conflict_local;
	event->conflict_cookie = attempt->conflict_cookie;
	event->conflict_process = attempt->conflict_process;
}

/* After a failed call the socket is wiped: the attempt keeps what the process asked for. */
static __always_inline void fill_endpoints(struct connect_event *event,
	const struct attempt *attempt, struct sock *sk, bool socket_has_tuple)
{
	if (socket_has_tuple)
		read_endpoints(&event->local, &event->peer, sk);
	else
		event->local = attempt->bound;
	if (event->error)
		event->peer = attempt->peer;
}

static __always_inline void fill(struct connect_event *event, __u64 cookie,
	const struct attempt *attempt, __s32 error, __u32 inferred, bool socket_has_tuple)
{
	struct sock *sk = (struct sock *)attempt->sk;

	__builtin_memset(event, 0, sizeof(*event));
	event->head.time_ns = bpf_ktime_get_boot_ns();
	event->head.netns_cookie = attempt->netns_cookie;
	event->head.netns_inum = BPF_CORE_READ(sock_net(sk), ns.inum);
	event->head.cgroup_id = attempt->cgroup_id;
	event->head.cpu = bpf_get_smp_processor_id();
	event->head.process = attempt->process;
	label_event(&event->head, EVENT_TYPE_CONNECT);
	event->head.attribution = ATTRIBUTION_CURRENT;
	event->head.inferred = inferred;
	event->socket_cookie = cookie;
	event->duration_ns = event->head.time_ns - attempt->start_ns;
	event->error = error;
	event->protocol = attempt->protocol;
	event->family = attempt->family;
	event->technique = technique_of(attempt, sk);
	if (attempt->protocol == IPPROTO_TCP)
		event->syn_retransmits = BPF_CORE_READ((struct tcp_sock *)sk, total_retrans);
	fill_endpoints(event, attempt, sk, socket_has_tuple);
	fill_conflict(event, attempt);
}

static __always_inline bool wanted(__s32 error)
{
	return config_connect_events == CONNECT_EVENTS_ALL ||
	       (config_connect_events == CONNECT_EVENTS_FAILED && error);
}

/*
 * Report the attempt on socket `cookie`, unless somebody else has. `error` is 0, a positive errno
 * or ERROR_UNKNOWN, `inferred` bits of enum inferred. `socket_has_tuple`: the socket still holds
 * the local side of the attempt.
 */
static __noinline void resolve(__u64 cookie, __s32 error, __u32 inferred, bool socket_has_tuple)
{
	struct attempt *found = bpf_map_lookup_elem(&attempts, &cookie);
	struct connect_event *event;
	struct attempt attempt;

	if (!found)
		return;
	attempt = *found;
	if (bpf_map_delete_elem(&attempts, &cookie))
		return;
	if (!error)
		remember_udp_source(&attempt);
	if (!wanted(error)) {
		count(attempted);
		count(filtered);
		return;
	}
	event = reserve_event(sizeof(*event), error ? EVENT_CLASS_FAULT : EVENT_CLASS_OK);
	if (!event)
		return;
	fill(event, cookie, &attempt, error, inferred, socket_has_tuple);
	submit_event(event);
}

#endif
