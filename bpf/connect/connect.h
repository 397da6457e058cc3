/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_CONNECT_H
#define TUPLEWATCH_CONNECT_H

/* State of the connect probe: attempts under way, and what names the other side of a conflict. */

#include "events.h"
#include "kernel.h"

const volatile __u32 config_return_source = RETURN_SOURCE_SYSCALL;
const volatile __u32 config_connect_events = CONNECT_EVENTS_ALL;

#define MAX_ATTEMPTS 32768
#define MAX_CALLS 16384
#define MAX_UDP_SOURCES 8192

struct attempt {
	__u64 start_ns;
	__u64 sk; /* address of the struct sock: valid while the attempt lasts */
	__u64 netns_cookie;
	__u64 cgroup_id;
	struct process process;
	struct endpoint bound; /* what the socket was bound to before the call */
	struct endpoint peer;  /* what the process asked for */
	__u16 protocol;
	__u16 family;
	__u8 bound_address;   /* bound to an address other than the wildcard */
	__u8 return_expected; /* a return value will be seen for it */
	__u8 has_conflict;
	__u8 pad;
	struct endpoint conflict_local;
	__u64 conflict_cookie;
	struct process conflict_process;
};

/* By socket cookie, which is never used again, so that a leftover can match no other socket. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ATTEMPTS);
	__type(key, __u64);
	__type(value, struct attempt);
} attempts SEC(".maps");

/* connect() calls under way, by thread: the cookie of the socket whose attempt the call began. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_CALLS);
	__type(key, __u64);
	__type(value, __u64);
} calls SEC(".maps");

/* Who connected a bound UDP socket: kept with the socket, gone with it. */
struct udp_owner {
	__u64 cookie;
	__u64 other; /* see plain_address() */
	struct process process;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct udp_owner);
} udp_owners SEC(".maps");

/*
 * The local address that the route gave a UDP socket bound to a port only. The hook runs before
 * the route is known, so the last one seen is where a conflicting socket is looked for.
 */
struct udp_source_key {
	__u64 netns_cookie;
	struct endpoint peer;
	__u32 port;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_UDP_SOURCES);
	__type(key, struct udp_source_key);
	__type(value, struct endpoint);
} udp_sources SEC(".maps");

#endif
