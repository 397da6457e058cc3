/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CONNECT_EVENT_H
#define TUPLEWATCH_CONNECT_EVENT_H

/* An attempt whose result is known: counted, and told where somebody wants it. */
#include "emit.h"
#include "getters.h"
#include "connect.h"
#include "port_holder.h"
#include "tally.h"
#include "udp.h"
#include "udp_sharing.h"
#ifdef ATTEMPTS_IN_SOCKETS
#include "attempts_in_sockets.h"
#else
#include "attempts_in_table.h"
#endif

/* What an attempt came to; `error` is 0, a positive errno or ERROR_UNKNOWN. */
struct result {
	__s32 error;
	__u32 inferred;	       /* enum inferred, or-ed */
	bool socket_has_tuple; /* the socket still holds the local side of the attempt */
};

/* bind(addr, 0) picks a port at once, unless IP_BIND_ADDRESS_NO_PORT puts that off (ip(7)). */
static __always_inline __u8 technique_of(const struct attempt *attempt)
{
	struct sock *sk = (struct sock *)attempt->sk;

	if (!attempt->bound.port)
		return attempt->bound_address ? TECHNIQUE_BIND_ADDRESS_NO_PORT : TECHNIQUE_PLAIN;
	if (!(BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & SOCK_BINDPORT_LOCK))
		return TECHNIQUE_BIND_BEFORE_CONNECT;
	return may_share_port(sk) ? TECHNIQUE_REUSEADDR : TECHNIQUE_BOUND_PORT;
}

static __always_inline void fill_conflict(
	struct connect_event *event, const struct attempt *attempt)
{
	if (!attempt->has_conflict)
		return;
	event->has_conflict = 1;
	event->conflict_local = attempt->conflict_local;
	event->conflict_cookie = attempt->conflict_cookie;
	event->conflict_process = attempt->conflict_process;
}

/* In a frame of its own: together they may have 512 bytes. */
static __noinline void fill_holder(struct connect_event *event, const struct attempt *attempt)
{
	const struct port_opener *holder;

	if (event->error != EADDRNOTAVAIL)
		return;
	holder = find_tuple_holder(attempt);
	if (!holder)
		return;
	event->has_holder = 1;
	event->holder.time_ns = holder->time_ns;
	event->holder.netns_cookie = event->head.netns_cookie;
	event->holder.netns_inum = event->head.netns_inum;
	event->holder.cgroup_id = holder->cgroup_id;
	event->holder.process = holder->process;
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

/* The range that a socket without a port had to take it from, unless it is the namespace's. */
static __always_inline void fill_port_range(struct connect_event *event, struct sock *sk)
{
	__u32 range;

	if (event->error != EADDRNOTAVAIL && event->error != EAGAIN)
		return;
	range = sock_port_range(sk);
	event->port_range_low = range & 0xffff;
	event->port_range_high = range >> 16;
}

static __always_inline void fill(struct connect_event *event, const struct attempt *attempt,
	const struct result *result, const struct connect_kind *kind, __u64 now_ns)
{
	struct sock *sk = (struct sock *)attempt->sk;

	__builtin_memset(event, 0, sizeof(*event));
	event->head.time_ns = now_ns;
	event->head.netns_cookie = attempt->netns_cookie;
	event->head.netns_inum = BPF_CORE_READ(sock_net(sk), ns.inum);
	event->head.cgroup_id = attempt->cgroup_id;
	event->head.cpu = bpf_get_smp_processor_id();
	event->head.process = attempt->process;
	label_event(&event->head, EVENT_TYPE_CONNECT);
	event->head.attribution = ATTRIBUTION_CURRENT;
	event->head.inferred = result->inferred;
	event->socket_cookie = sock_cookie(sk);
	event->duration_ns = now_ns - attempt->start_ns;
	event->error = result->error;
	event->protocol = attempt->protocol;
	event->family = attempt->family;
	event->technique = kind->technique;
	fill_endpoints(event, attempt, sk, result->socket_has_tuple);
	fill_conflict(event, attempt);
	fill_holder(event, attempt);
	event->port_search_ns = attempt->port_search_ns;
	fill_port_range(event, sk);
}

/* Loopback and data centres take less than a millisecond, a round of the earth 400. */
#define SLOW_NS 500000000ULL

/* Of which the findings want to know; unless told none is. */
const volatile __u64 config_slow_port_search_ns = ~0ULL;

/* What a finding or a person may want to know of one connect more than that it was. */
static __always_inline bool is_notable(const struct attempt *attempt,
	const struct connect_kind *kind, __u32 syn_retransmits, __u64 duration_ns)
{
	return kind->error || syn_retransmits || attempt->has_conflict ||
	       kind->technique == TECHNIQUE_BIND_BEFORE_CONNECT || duration_ns >= SLOW_NS ||
	       attempt->port_search_ns >= config_slow_port_search_ns;
}

/* Whether both ends are the same: a simultaneous open with itself (RFC 9293, section 3.5). */
static __noinline bool is_own_peer(struct sock *sk)
{
	struct endpoint local = {}, peer = {};
	const __u64 *a = (const __u64 *)local.address, *b = (const __u64 *)peer.address;

	read_endpoints(&local, &peer, sk);
	return local.port == peer.port && a[0] == b[0] && a[1] == b[1];
}

/* Of nearly all connections the ports differ, which takes one look. */
static __always_inline bool is_self_connect(const struct attempt *attempt)
{
	struct sock *sk = (struct sock *)attempt->sk;

	return BPF_CORE_READ(sk, __sk_common.skc_num) == attempt->peer.port && is_own_peer(sk);
}

static __always_inline void end_udp(struct attempt *attempt, __s32 error)
{
	/* The hook found it before the connect failed; then the socket is not on that tuple. */
	if (error > 0)
		attempt->has_conflict = 0;
	if (error)
		return;
	remember_udp_source(attempt);
	if (may_share_port((struct sock *)attempt->sk))
		note_udp_tuple(attempt);
}

static __always_inline bool is_wanted(__s32 error, bool notable)
{
	switch (connect_events) {
	case CONNECT_EVENTS_ALL:
		return true;
	case CONNECT_EVENTS_FAILED:
		return error;
	case CONNECT_EVENTS_NOTABLE:
		return notable;
	}
	return false;
}

static __always_inline void count_unwanted(void)
{
	struct counters *counters = this_cpu_counters();

	if (!counters)
		return;
	__sync_fetch_and_add(&counters->attempted, 1);
	__sync_fetch_and_add(&counters->filtered, 1);
}

/* Count the attempt of socket `ref`, and report it, unless somebody else has. */
static __noinline void resolve(socket_ref ref, __s32 error, __u32 inferred, bool socket_has_tuple)
{
	struct result result = {error, inferred, socket_has_tuple};
	struct attempt *attempt, room;
	struct connect_kind kind = {};
	struct connect_event *event;
	struct tcp_sock *tp;
	__u32 syn_retransmits = 0;
	__u64 now_ns, duration_ns;
	bool notable, is_self = false;

	attempt = take_attempt(ref, &room);
	if (!attempt)
		return;
	now_ns = bpf_ktime_get_boot_ns();
	duration_ns = now_ns - attempt->start_ns;
	kind.error = error;
	kind.protocol = attempt->protocol;
	kind.technique = technique_of(attempt);
	tp = (struct tcp_sock *)attempt->sk;
	if (attempt->protocol == IPPROTO_TCP) {
		syn_retransmits = BPF_CORE_READ(tp, total_retrans);
		is_self = !error && is_self_connect(attempt);
	} else {
		end_udp(attempt, error);
	}
	if (!error && socket_has_tuple && is_to_be_noted(attempt))
		note_connection(attempt, kind.technique, now_ns);
	tally_connect(&kind, duration_ns, syn_retransmits, attempt->has_conflict);
	notable = is_self || is_notable(attempt, &kind, syn_retransmits, duration_ns);
	if (!is_wanted(error, notable)) {
		count_unwanted();
		return;
	}
	event = reserve_event(
		sizeof(*event), error ? EVENT_CLASS_FAULT : EVENT_CLASS_OK, attempt->cgroup_id);
	if (!event)
		return;
	fill(event, attempt, &result, &kind, now_ns);
	event->syn_retransmits = syn_retransmits;
	event->is_self = is_self;
	submit_event(event);
}

#endif
