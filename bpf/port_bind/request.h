/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_PORT_BIND_REQUEST_H
#define TUPLEWATCH_PORT_BIND_REQUEST_H

/* What all backends share: a call that asked for a local port has come back. */

#include <linux/version.h>
#include "emit.h"
#include "getters.h"
#include "port_ledger.h"

/* Errors times protocols times techniques, as far as they come. */
#define MAX_KINDS 256

/* Every call is counted, also those that become no event. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, MAX_KINDS);
	__type(key, struct port_bind_kind);
	__type(value, __u64);
} port_bind_tallies SEC(".maps");

static const struct port_bind_event *unused_port_bind_event __attribute__((unused, used));

struct port_request {
	struct sock *sk;
	__s32 error; /* 0, or a positive errno */
	__u16 protocol;
	__u8 technique;		/* enum bind_technique */
	__u8 is_told_elsewhere; /* by the connect probe */
	struct endpoint asked;	/* of bind() and listen() */
};

static __always_inline void tally(__s32 error, __u16 protocol, __u8 technique)
{
	struct port_bind_kind kind = {
		.error = error,
		.protocol = protocol,
		.bind_technique = technique,
	};
	__u64 *count = bpf_map_lookup_elem(&port_bind_tallies, &kind), none = 0;

	if (!count) {
		bpf_map_update_elem(&port_bind_tallies, &kind, &none, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&port_bind_tallies, &kind);
	}
	if (count)
		__sync_fetch_and_add(count, 1);
}

/* Of a socket that is bound to the port at this address, or at any of either family. */
static __noinline bool find_holder(const struct port_request *request, struct port_opener *holder)
{
	struct port_key key = {.protocol = request->protocol, .local = request->asked};
	struct port_opener *found = NULL;

	key.netns = net_identity(sock_net(request->sk));
	for (int family = 0; family < 3; family++) {
		if (family == 1)
			set_ipv4(&key.local, 0);
		if (family == 2)
			__builtin_memset(key.local.address, 0, sizeof(key.local.address));
		found = find_opener(&key);
		if (found && is_still_bound(found, &key)) {
			*holder = *found;
			return true;
		}
	}
	return false;
}

static __always_inline void fill_holder(
	struct port_bind_event *event, const struct port_request *request)
{
	struct port_opener holder;

	if (request->technique != BIND_TECHNIQUE_FIXED_PORT || !find_holder(request, &holder))
		return;
	event->has_holder = 1;
	event->holder.time_ns = holder.time_ns;
	event->holder.netns_cookie = event->head.netns_cookie;
	event->holder.netns_inum = event->head.netns_inum;
	event->holder.cgroup_id = holder.cgroup_id;
	event->holder.process = holder.process;
}

static __noinline void report(const struct port_request *request)
{
	__u64 cgroup_id = bpf_get_current_cgroup_id();
	struct sock *sk = request->sk;
	struct port_bind_event *event;

	event = reserve_event(sizeof(*event), EVENT_CLASS_FAULT, cgroup_id);
	if (!event)
		return;
	__builtin_memset(event, 0, sizeof(*event));
	event->head.time_ns = bpf_ktime_get_boot_ns();
	event->head.cpu = bpf_get_smp_processor_id();
	event->head.cgroup_id = cgroup_id;
	label_event(&event->head, EVENT_TYPE_PORT_BIND);
	read_netns(&event->head, sock_net(sk));
	read_current(&event->head);
	event->socket_cookie = sock_cookie(sk);
	event->local = request->asked;
	event->error = request->error;
	event->protocol = request->protocol;
	event->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	event->bind_technique = request->technique;
	fill_holder(event, request);
	submit_event(event);
}

/* By this process: the memory of a socket that is gone may be another one's by now. */
static __always_inline bool is_noted(struct port_key *key, struct sock *sk)
{
	struct port_opener *opener = find_opener(key);

	return opener && opener->sk == (__u64)sk &&
	       opener->process.pid == bpf_get_current_pid_tgid() >> 32;
}

static __always_inline void note_key(struct port_key *key, struct sock *sk, __u8 technique)
{
	struct port_opener opener = {};

	describe_opener(&opener, sk);
	opener.is_bound = technique != BIND_TECHNIQUE_AUTOBIND;
	opener.is_fixed = technique == BIND_TECHNIQUE_FIXED_PORT;
	note_opener(key, &opener);
}

static __noinline void note_port(const struct port_request *request)
{
	struct port_key key = {};

	port_key_of(&key, request->sk, request->protocol, false);
	if (!key.local.port)
		return; /* IP_BIND_ADDRESS_NO_PORT: connect() will choose it */
	/* Who bound it is known, and how; listen() only goes on with it. */
	if (request->technique == BIND_TECHNIQUE_LISTEN && is_noted(&key, request->sk))
		return;
	note_key(&key, request->sk, request->technique);
}

/* A raw socket has the number of a protocol where others have their port (inet_create()). */
static __always_inline bool is_watched(const struct port_request *request)
{
	struct sock *sk = request->sk;

	if (request->protocol != IPPROTO_TCP && request->protocol != IPPROTO_UDP)
		return false;
	return BPF_CORE_READ(sk, sk_type) != SOCK_RAW;
}

/* Other errors than for want of a port (no such address, no right to a low port) are counted only.
 */
static __always_inline void handle_request(const struct port_request *request)
{
	tally(request->error, request->protocol, request->technique);
	if (!request->error)
		note_port(request);
	else if (request->error == EADDRINUSE || request->error == EAGAIN) {
		if (!request->is_told_elsewhere)
			report(request);
	}
}

/* Of the address that bind() was given, a copy in the kernel's memory or the process's own. */
struct asked_address {
	__u16 family;
	__be16 port;
	__be32 ipv4; /* of IPv6: the flow label */
	__u8 ipv6[16];
};

/* An address too short for its family was refused, with another error. */
static __always_inline void set_asked(
	struct endpoint *asked, const struct asked_address *address, __u16 family)
{
	if (family == AF_INET6 && address->family == AF_INET6)
		__builtin_memcpy(asked->address, address->ipv6, sizeof(asked->address));
	else
		set_ipv4(asked, address->ipv4);
	asked->port = bpf_ntohs(address->port);
}

static __always_inline void init_request(
	struct port_request *request, struct sock *sk, int ret, enum bind_technique technique)
{
	request->sk = sk;
	request->error = -ret;
	request->protocol = BPF_CORE_READ(sk, sk_protocol);
	/* Its ports are those of its first subflow (mptcp_copy_inaddrs(), net/mptcp/protocol.c). */
	if (request->protocol == IPPROTO_MPTCP)
		request->protocol = IPPROTO_TCP;
	request->technique = technique;
}

/*
 * Of Multipath TCP inet_bind() and inet_listen() are called for the subflow, up to 6.5; later it
 * goes past them (6.6: inet_bind_sk(), __inet_listen_sk()).
 */
static __always_inline bool is_subflow_unseen(void)
{
	return LINUX_KERNEL_VERSION >= KERNEL_VERSION(6, 6, 0);
}

static __always_inline void handle_bind(
	struct sock *sk, const struct asked_address *address, int ret)
{
	struct port_request request = {};

	init_request(&request, sk, ret,
		address->port ? BIND_TECHNIQUE_FIXED_PORT : BIND_TECHNIQUE_ANY_PORT);
	if (!is_watched(&request))
		return;
	set_asked(&request.asked, address, BPF_CORE_READ(sk, __sk_common.skc_family));
	handle_request(&request);
}

/* inet_csk_listen_start() asks for the port again, or for any if the socket has none. */
static __always_inline void handle_listen(struct sock *sk, int ret)
{
	struct port_request request = {};
	struct endpoint peer = {};

	init_request(&request, sk, ret, BIND_TECHNIQUE_LISTEN);
	if (!is_watched(&request))
		return;
	read_endpoints(&request.asked, &peer, sk);
	handle_request(&request);
}

static __always_inline void handle_autobind(struct sock *sk, int ret, bool by_connect)
{
	struct port_request request = {};
	struct endpoint peer = {};

	init_request(&request, sk, ret, BIND_TECHNIQUE_AUTOBIND);
	if (!is_watched(&request))
		return;
	read_addresses(&request.asked, &peer, sk);
	request.is_told_elsewhere = by_connect;
	handle_request(&request);
}

#endif
