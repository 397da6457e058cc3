/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_EVENTS_H
#define TUPLEWATCH_EVENTS_H

#include <linux/types.h>

/*
 * The contract between the kernel programs and the daemon. Each record in a ring is one of the
 * *_event structs below, called like its EVENT_TYPE_*; `npm run gen` reads them from an object's
 * BTF and writes the TypeScript, so nothing here is repeated by hand.
 *
 * Addresses are always 16 bytes in network order, IPv4 as ::ffff:a.b.c.d. Ports are in host order.
 */

/*
 * What became of the events of one probe on one CPU: attempted = emitted + lost + filtered. A
 * program in process context may be interrupted by one in softirq on the same CPU, so every
 * increment is atomic.
 */
struct counters {
	__u64 attempted;
	__u64 emitted;
	__u64 lost;
	__u64 filtered;
	/* Of the filtered ones, those above config_event_interval_ns; the others nobody wants. */
	__u64 rate_limited;
	/* Of these, what is no fault. */
	__u64 rate_limited_ordinary;
};

enum event_type {
	EVENT_TYPE_CONNECT = 1,
	EVENT_TYPE_CHALLENGE_ACK = 2,
	EVENT_TYPE_CONNTRACK_INSERT_FAILED = 3,
	EVENT_TYPE_CHALLENGE_OUTCOME = 4,
	EVENT_TYPE_FLOW_RETRY = 5,
	EVENT_TYPE_STALE_FLOW_REUSE = 6,
	EVENT_TYPE_PORT_BIND = 7,
};

/* How the process in the head was found: see "attribution" in docs/reference/events.md. */
enum attribution {
	ATTRIBUTION_NONE = 0,
	ATTRIBUTION_CURRENT = 1,
	ATTRIBUTION_SOCKET = 2,
	ATTRIBUTION_FLOW_OWNER = 3,
};

/* Bits of event_head.inferred: fields that a backend concluded rather than read. */
enum inferred {
	INFERRED_RESULT = 1 << 0,
	INFERRED_DURATION_NS = 1 << 1, /* it is shorter */
	INFERRED_CAUSE = 1 << 3,
};

struct process {
	__u32 pid;
	__u32 uid;
	char comm[16];
};

/* How the kernel is hooked; called as settings and events call them. */
enum backend {
	BACKEND_FENTRY = 1,
	BACKEND_KPROBE = 2,
	BACKEND_DROP_TRACEPOINT = 3,
	BACKEND_SYSCALL_TRACEPOINT = 4,
	BACKEND_TCP_STATE = 5,
};

struct event_head {
	__u64 time_ns; /* CLOCK_BOOTTIME, or CLOCK_MONOTONIC where the kernel has no other */
	__u64 netns_cookie;
	__u64 cgroup_id;
	__u32 netns_inum;
	__u32 cpu;
	struct process process;
	__u16 type;	  /* enum event_type */
	__u8 attribution; /* enum attribution */
	__u8 backend;	  /* enum backend */
	__u32 inferred;	  /* enum inferred, or-ed */
};

/* A cgroup that has just been made. */
struct cgroup_path {
	__u64 id;
	char path[512]; /* below the root; empty if it is longer, of at most 1024
			   (TRACE_CGROUP_PATH_LEN) */
};

struct endpoint {
	__u8 address[16];
	__u16 port;
	__u16 pad;
};

struct tuple {
	struct endpoint src;
	struct endpoint dst;
};

/*
 * Whose local port it was: a port that a socket was bound to has no peer in its key, that of a
 * connection has its own.
 */
struct port_key {
	__u64 netns; /* cookie, or before 5.15 inode number */
	struct endpoint local;
	struct endpoint peer;
	__u32 protocol;	   /* IPPROTO_* */
	__u32 fingerprint; /* of all of the above */
};

/* Who opened it, and when. */
struct port_opener {
	__u64 time_ns; /* 0: nobody, or it is being written */
	__u64 cgroup_id;
	__u64 sk; /* address of the struct sock, which may be gone */
	struct process process;
	__u8 is_bound; /* by bind(), before there was a peer: nobody else's, wherever it leads */
	__u8 is_fixed; /* the program asked for this port, not for any */
	__u8 pad[6];
};

/* Who sent the first packet of a flow, noted in that process's own context. */
struct flow_owner {
	__u64 time_ns; /* when it was noted; 0: nobody is known */
	__u64 netns_cookie;
	__u64 cgroup_id;
	__u32 netns_inum;
	struct process process;
	__u32 pad;
};

struct port_entry {
	struct port_key key;
	struct port_opener opener;
};

/* How the socket came by its local port. */
enum technique {
	TECHNIQUE_PLAIN = 0,
	TECHNIQUE_BOUND_PORT = 1,
	TECHNIQUE_BIND_BEFORE_CONNECT = 2,
	TECHNIQUE_BIND_ADDRESS_NO_PORT = 3,
	TECHNIQUE_REUSEADDR = 4,
};

/* Where a result comes from when the TCP state does not tell it: config_return_source. */
enum return_source {
	RETURN_SOURCE_NONE = 0,
	RETURN_SOURCE_SYSCALL = 1,
	RETURN_SOURCE_FEXIT = 2,
};

/* Which connects become events: connect_events. All are in the tally. */
enum connect_events {
	CONNECT_EVENTS_ALL = 0,
	CONNECT_EVENTS_FAILED = 1,
	CONNECT_EVENTS_NONE = 2,
	CONNECT_EVENTS_NOTABLE = 3, /* all but those that went as they should */
};

enum connect_buckets {
	CONNECT_BUCKETS = 14, /* bounds of durations: config_duration_bounds_ns */
};

/* Connects of one kind: what the tally is kept by. */
struct connect_kind {
	__s32 error; /* as in the event */
	__u16 protocol;
	__u8 technique;
	__u8 pad;
};

/* What came of the connects of one kind, on one CPU. */
struct connect_tally {
	__u64 duration_ns;
	__u64 syn_retransmits;
	__u64 conflicts;
	__u64 buckets[CONNECT_BUCKETS + 1]; /* of durations up to each bound, and above */
};

struct connect_event {
	struct event_head head;
	__u64 socket_cookie;
	__u64 duration_ns;
	struct endpoint local; /* port 0: the kernel had not chosen one */
	struct endpoint peer;
	__s32 error;	/* 0, or a positive errno; -1: not known */
	__u16 protocol; /* IPPROTO_* */
	__u16 family;	/* AF_* of the socket */
	__u8 technique; /* enum technique */
	__u8 syn_retransmits;
	__u8 has_conflict; /* the three fields below are set */
	__u8 has_holder;
	struct endpoint conflict_local;
	__u64 conflict_cookie;
	struct process conflict_process; /* pid 0: connected before the daemon started */
	struct flow_owner holder;	 /* if has_holder: who has the 4-tuple that was asked for */
	__u64 port_search_ns; /* from the call until TCP had looked for a port; 0: not known */
	__u16 port_range_low; /* IP_LOCAL_PORT_RANGE of a socket that found no port; 0: none */
	__u16 port_range_high;
	__u8 is_self; /* TCP: connected to its own endpoint */
	__u8 pad[3];
};

enum trigger {
	TRIGGER_OTHER = 0,
	TRIGGER_RST = 1,
	TRIGGER_SYN = 2,
	TRIGGER_ACK_TOO_OLD = 3,
	TRIGGER_ACK_TOO_NEW = 4,
	TRIGGER_PAWS = 5, /* a SYN that fails PAWS: before 6.4 no challenge, but the same answer */
};

enum sent {
	SENT_UNKNOWN = 0,
	SENT_YES = 1,
	SENT_SOCKET_LIMITED = 2, /* tcp_invalid_ratelimit */
	SENT_NETNS_LIMITED = 3,	 /* tcp_challenge_ack_limit */
};

struct challenge_ack_event {
	struct event_head head;
	__u64 socket_cookie;
	__u64 idle_ns; /* if has_idle: since data or an ACK came before the challenged segment */
	struct endpoint local;
	struct endpoint peer;
	__u32 seq; /* of the segment that was challenged, if has_segment */
	__u32 ack;
	__u32 rcv_nxt; /* of the socket */
	__u32 snd_una;
	__u8 tcp_state;
	__u8 trigger; /* enum trigger */
	__u8 sent;    /* enum sent */
	__u8 has_segment;
	__u8 has_idle;
	__u8 pad[3];
};

enum outcome {
	OUTCOME_RESET_BY_PEER = 1,
	OUTCOME_CLOSED = 2,
	OUTCOME_SURVIVED = 3,
};

/* How many expired challenges one run of `expire` reports at most. */
enum expiry {
	EXPIRY_PER_RUN = 64,
};

/* What became of a challenged connection; the process is that of the first challenge's event. */
struct challenge_outcome_event {
	struct event_head head;
	__u64 socket_cookie;
	__u64 delay_ns; /* since the first challenge */
	struct endpoint local;
	struct endpoint peer;
	__u32 challenges; /* segments challenged so far, whether the ACK was sent or held back */
	__u8 outcome;	  /* enum outcome */
	__u8 pad[3];
};

enum verdict {
	VERDICT_DROPPED = 0,
	VERDICT_RESOLVED = 1,
};

enum cause {
	CAUSE_OTHER = 0,
	CAUSE_CLASH = 1,
	CAUSE_CHAIN_TOO_LONG = 2,
	CAUSE_DYING = 3,
	CAUSE_TABLE_FULL = 4,
	CAUSE_NO_UNIQUE_TUPLE = 5,
};

enum nat {
	NAT_NONE = 0,
	NAT_SNAT = 1,
	NAT_DNAT = 2,
	NAT_BOTH = 3,
};

struct conntrack_insert_failed_event {
	struct event_head head;
	struct tuple original;
	struct tuple reply;
	struct flow_owner owner;
	__u16 protocol;
	__u16 zone;
	__u8 nat;	 /* enum nat */
	__u8 verdict;	 /* enum verdict */
	__u8 cause;	 /* enum cause */
	__u8 has_winner; /* the fields below are set */
	struct tuple winner_original;
	struct tuple winner_reply;
	struct flow_owner winner_owner;
	__u32 refusals; /* of this flow so far, with this one; 0: not counted */
	__u32 pad;
};

/* A flow that conntrack had refused is accepted at last. */
struct flow_retry_event {
	struct event_head head;
	__u64 delay_ns; /* since the first refusal */
	struct tuple original;
	__u32 refusals;
	__u16 protocol;
	__u16 zone;
};

/* A new socket's datagram follows the conntrack entry of one that is gone. */
struct stale_flow_reuse_event {
	struct event_head head; /* the new socket's process */
	__u64 socket_cookie;	/* 0: it has none */
	__u64 old_socket_cookie;
	__u64 age_ns; /* of the entry */
	struct flow_owner old_owner;
	struct tuple original;
	struct tuple reply;
	__u16 protocol;
	__u16 zone;
	__u8 nat;	 /* enum nat */
	__u8 redirected; /* the reply does not come from where the original goes */
	__u8 pad[2];
};

/* How a port was asked for without a peer. */
enum bind_technique {
	BIND_TECHNIQUE_FIXED_PORT = 0, /* bind() to a port */
	BIND_TECHNIQUE_ANY_PORT = 1,   /* bind() to port 0 */
	BIND_TECHNIQUE_LISTEN = 2,     /* listen(), perhaps of a socket that has no port yet */
	BIND_TECHNIQUE_AUTOBIND = 3,   /* UDP without bind(): the first datagram, or connect() */
};

/* Calls of one kind: what they are counted by, on each CPU. */
struct port_bind_kind {
	__s32 error;
	__u16 protocol;
	__u8 bind_technique;
	__u8 pad;
};

/* No port was to be had. */
struct port_bind_event {
	struct event_head head;
	__u64 socket_cookie;
	struct endpoint local; /* as asked: port 0 for any */
	__s32 error;	       /* a positive errno, as the process got it */
	__u16 protocol;	       /* IPPROTO_* */
	__u16 family;	       /* AF_* of the socket */
	__u8 bind_technique;   /* enum bind_technique */
	__u8 has_holder;       /* the socket that has the port is known, and there */
	__u8 pad[6];
	struct flow_owner holder;
};

#endif
