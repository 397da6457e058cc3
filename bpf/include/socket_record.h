/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_SOCKET_RECORD_H
#define TUPLEWATCH_SOCKET_RECORD_H

/*
 * What all probes know of a socket, in one piece of its own storage: made once, gone with the
 * socket, charged to it, and found without a key that another socket could have.
 *
 * Programs of cgroups may use such storage on all kernels here, those in tracing from 5.11 on
 * (8e4597c627fb), where they are given the socket as such: kprobes and tracepoints of system calls
 * have an address only, and keep tables of their own.
 *
 * Never in a program at the entry or return of a MODULE's function: while it is loaded the kernel
 * looks for that function among its own types, finds none and reads from NULL, which is its end
 * (bpf_sk_storage_tracing_allowed() in net/core/bpf_sk_storage.c, seen on 6.12). A test looks for
 * such programs.
 */

#include "events.h"
#include "flow_key.h"
#include "kernel.h"

/* A connect() under way. */
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
	__u32 is_open;	      /* nobody has reported it yet */
	__u64 port_search_ns; /* from the call until TCP had looked for a port; 0: not known */
	struct endpoint conflict_local;
	__u64 conflict_cookie;
	struct process conflict_process;
};

/* The last segment that may be challenged: see challenge_ack/segment.h. */
struct segment {
	__u32 seq;
	__u32 ack;
	__u32 flags;
	__u32 segs_out; /* of the socket, as is the next */
	__u32 last_ack_jiffies;
	__u32 is_noted; /* there was one */
};

/* That a probe has looked at a datagram of the socket on this flow. */
struct sent_mark {
	struct flow_key flow;
	__u64 at_ns;
	__u64 pid;
};

struct socket_record {
	struct process opener; /* pid 0: not known */
	__u64 noted_sk;	       /* its address, once its opener is in the ledger of ports */
	struct sent_mark owner_noted;
	struct sent_mark reuse_checked;
	struct segment segment;
	struct attempt attempt;
};

/* An accepted socket has its listener's until somebody accepts it. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct socket_record);
} socket_records SEC(".maps");

#define MARK_NS 1000000000ULL

/* Whether the mark says so, of this process, and of less than a second ago. */
static __always_inline bool is_marked(const struct sent_mark *mark, const struct flow_key *flow)
{
	return is_same_flow(&mark->flow, flow) && mark->pid == bpf_get_current_pid_tgid() >> 32 &&
	       bpf_ktime_get_boot_ns() - mark->at_ns < MARK_NS;
}

static __always_inline void set_mark(struct sent_mark *mark, const struct flow_key *flow)
{
	mark->flow = *flow;
	mark->pid = bpf_get_current_pid_tgid() >> 32;
	mark->at_ns = bpf_ktime_get_boot_ns();
}

#endif
