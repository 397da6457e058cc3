/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CONNECT_PORT_HOLDER_H
#define TUPLEWATCH_CONNECT_PORT_HOLDER_H

/* What the ledger of ports gets to know of connects, and tells of a 4-tuple that is taken. */

#include "connect.h"
#include "port_ledger.h"

/* The port of a UDP socket is noted where it is bound, unless no such place is to be seen. */
static __always_inline bool is_to_be_noted(const struct attempt *attempt)
{
	return attempt->protocol == IPPROTO_TCP || (config_note_udp_ports && !attempt->bound.port);
}

/* A TCP connection has its port for as long as it is there or in TIME_WAIT. */
static __noinline void note_connection(const struct attempt *attempt, __u8 technique, __u64 now_ns)
{
	struct sock *sk = (struct sock *)attempt->sk;
	bool is_tcp = attempt->protocol == IPPROTO_TCP;
	struct port_opener opener = {};
	struct port_key key = {};

	port_key_of(&key, sk, attempt->protocol, is_tcp);
	opener.time_ns = now_ns;
	opener.cgroup_id = attempt->cgroup_id;
	opener.process = attempt->process;
	opener.sk = attempt->sk;
	opener.is_bound = attempt->bound.port != 0;
	opener.is_fixed = technique == TECHNIQUE_BOUND_PORT || technique == TECHNIQUE_REUSEADDR;
	note_opener(&key, &opener);
}

/*
 * Whoever opened the 4-tuple last has it, if it is taken: EADDRNOTAVAIL with a port of one's own
 * says nothing else (__inet_check_established, net/ipv4/inet_hashtables.c). Of a socket that is
 * bound to a port only, the local address is not known.
 */
static __always_inline const struct port_opener *find_tuple_holder(const struct attempt *attempt)
{
	struct port_key key = {.protocol = IPPROTO_TCP};

	if (!attempt->bound_address || !attempt->bound.port || attempt->protocol != IPPROTO_TCP)
		return NULL;
	key.netns = net_identity(sock_net((struct sock *)attempt->sk));
	key.local = attempt->bound;
	key.peer = attempt->peer;
	return find_opener(&key);
}

#endif
