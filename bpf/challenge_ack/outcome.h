/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CHALLENGE_OUTCOME_H
#define TUPLEWATCH_CHALLENGE_OUTCOME_H

/*
 * What becomes of a challenged connection, reported once: the peer resets it, it closes, or neither
 * happens for ten seconds. Connections are known by the address of their struct sock, whose entry
 * goes when the socket is closed.
 *
 * Whoever deletes a connection from `challenged` tells its outcome. The daemon asks for those that
 * are old enough by running `expire` (not every kernel has timers for programs); such a socket is
 * in `reported` for the rest of its life, since it may be challenged again. It enters `reported`
 * before it leaves `challenged` and is looked for in the opposite order, so it is always found in
 * one.
 *
 * Those that wait for their ten seconds stand in a queue, because a walk over `challenged` from
 * user space would blind kprobes: a CPU that is in a system call on a hash map runs none
 * (bpf_disable_instrumentation(), 5.10 to 7.2), not even while that call is preempted.
 */

#include "emit.h"
#include "socket_owner.h"

#define MAX_CHALLENGED 16384
#define MAX_WAITING 32768
#define MAX_TOLD 65536
#define SURVIVAL_NS 10000000000ULL

static const struct challenge_outcome_event *unused_outcome_event __attribute__((unused, used));

/* The outcome's event as far as it is known; head.time_ns is that of the first challenge. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_CHALLENGED);
	__type(key, __u64);
	__type(value, struct challenge_outcome_event);
} challenged SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_TOLD);
	__type(key, __u64);
	__type(value, __u8);
} reported SEC(".maps");

struct waiting {
	__u64 key; /* of `challenged`, from which it may be gone */
	__u64 since_ns;
};

/* Oldest first. One that finds no place here is reported when its connection ends. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, MAX_WAITING);
	__type(value, struct waiting);
} waiting SEC(".maps");

/* Until the first challenge neither sockets that close nor the queue need a look. */
bool any_challenge = false;

/* Note that the connection was challenged; `cookie` is 0 where it has none. */
static __noinline void track_challenge(struct sock *sk, __u64 cookie)
{
	struct challenge_outcome_event outcome = {}, *known;
	struct waiting last = {.key = (__u64)sk};
	__u64 key = (__u64)sk;

	known = bpf_map_lookup_elem(&challenged, &key);
	if (known) {
		known->challenges++; /* the socket is locked: nobody else counts */
		return;
	}
	if (bpf_map_lookup_elem(&reported, &key))
		return;
	outcome.head.time_ns = bpf_ktime_get_boot_ns();
	label_event(&outcome.head, EVENT_TYPE_CHALLENGE_OUTCOME);
	read_netns(&outcome.head, sock_net(sk));
	read_opener(&outcome.head, sk);
	outcome.socket_cookie = cookie;
	read_endpoints(&outcome.local, &outcome.peer, sk);
	outcome.challenges = 1;
	any_challenge = true;
	if (bpf_map_update_elem(&challenged, &key, &outcome, BPF_NOEXIST)) {
		count(attempted);
		count(lost);
		return;
	}
	last.since_ns = outcome.head.time_ns;
	bpf_map_push_elem(&waiting, &last, BPF_ANY);
}

/* Report the outcome of a connection, unless somebody else has; returns whether it was reported
 * here. */
static __noinline bool report_outcome(__u64 key, __u8 outcome)
{
	struct challenge_outcome_event *known, *event, copy;

	known = bpf_map_lookup_elem(&challenged, &key);
	if (!known)
		return false;
	copy = *known;
	if (bpf_map_delete_elem(&challenged, &key))
		return false;
	event = reserve_event(sizeof(*event), EVENT_CLASS_FAULT, copy.head.cgroup_id);
	if (!event)
		return true;
	*event = copy;
	event->head.time_ns = bpf_ktime_get_boot_ns();
	event->head.cpu = bpf_get_smp_processor_id();
	event->delay_ns = event->head.time_ns - copy.head.time_ns;
	event->outcome = event->delay_ns < SURVIVAL_NS ? outcome : OUTCOME_SURVIVED;
	submit_event(event);
	return true;
}

/* The socket is closed and will not be challenged again. */
static __always_inline void end_challenge(struct sock *sk)
{
	__u64 key = (__u64)sk;

	if (!any_challenge)
		return;
	report_outcome(key, OUTCOME_CLOSED);
	bpf_map_delete_elem(&reported, &key);
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(receive_reset, struct sock *sk)
{
	if (any_challenge)
		report_outcome((__u64)sk, OUTCOME_RESET_BY_PEER);
	return 0;
}

static __always_inline void survive_challenge(__u64 key)
{
	struct challenge_outcome_event *known;
	__u8 value = 1;

	known = bpf_map_lookup_elem(&challenged, &key);
	if (!known || bpf_ktime_get_boot_ns() - known->head.time_ns < SURVIVAL_NS)
		return;
	/* Where `reported` is full the outcome waits for the end of the connection. */
	if (bpf_map_update_elem(&reported, &key, &value, BPF_ANY))
		return;
	if (!report_outcome(key, OUTCOME_SURVIVED))
		bpf_map_delete_elem(&reported, &key);
}

/* Run by the daemon, which alone takes from the queue; returns whether there may be more. */
SEC("raw_tp")
int expire(void *ctx)
{
	struct waiting first;

	for (int i = 0; i < EXPIRY_PER_RUN; i++) {
		if (bpf_map_peek_elem(&waiting, &first) ||
			bpf_ktime_get_boot_ns() - first.since_ns < SURVIVAL_NS ||
			bpf_map_pop_elem(&waiting, &first))
			return false;
		survive_challenge(first.key);
	}
	return true;
}

#endif
