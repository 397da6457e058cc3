/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_KERNEL_H
#define TUPLEWATCH_KERNEL_H

/*
 * The kernel types these programs read, with only the fields in use. libbpf relocates each access
 * to the running kernel's layout (CO-RE), so order and gaps do not matter; names do.
 */

#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_ICMPV6 58
#define IPPROTO_MPTCP 262
#define SOCK_RAW 3
#define SOCK_BINDADDR_LOCK 4 /* include/net/sock.h */
#define SOCK_BINDPORT_LOCK 8 /* include/net/sock.h */
#define EINTR 4
#define EAGAIN 11
#define EADDRINUSE 98
#define EADDRNOTAVAIL 99
#define EALREADY 114
#define EINPROGRESS 115
#define ECANCELED 125
#define ERESTARTSYS 512 /* include/linux/errno.h: seen by tracepoints before it becomes EINTR */

extern int LINUX_KERNEL_VERSION __kconfig;

enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_TIME_WAIT = 6,
	TCP_CLOSE = 7,
	TCP_LISTEN = 10,
	TCP_NEW_SYN_RECV = 12,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

struct netns_ipv4 {
	int sysctl_tcp_invalid_ratelimit;
	int sysctl_tcp_challenge_ack_limit;
	__u32 tcp_challenge_count;
};

struct nf_udp_net {
	unsigned int timeouts[2]; /* jiffies: one way, both ways */
};

struct nf_ip_net {
	struct nf_udp_net udp;
};

struct netns_ct {
	struct nf_ip_net nf_ct_proto;
};

struct net {
	__u64 net_cookie;
	struct ns_common ns;
	struct netns_ipv4 ipv4;
	struct netns_ct ct;
};

struct file;

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		__u8 u6_addr8[16];
		__be32 u6_addr32[4];
	} in6_u;
};

typedef struct {
	__s64 counter;
} atomic64_t;

/* Before 5.15 (3d368ab87cf6): 0 until somebody asks for it. */
struct net___atomic_cookie {
	atomic64_t net_cookie;
};

typedef struct {
	__u32 val;
} kuid_t;

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_reuse : 4;
	unsigned char skc_reuseport : 1;
	int skc_bound_dev_if;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
};

struct kernfs_node {
	__u64 id;
};

struct cgroup_root {
	int hierarchy_id;
};

struct cgroup {
	struct cgroup_root *root;
	struct kernfs_node *kn;
};

struct sock_cgroup_data {
	struct cgroup *cgroup;
};

/* Before 5.15 (8520e224f547): the pointer, unless its lowest bit says that it is other data. */
struct sock_cgroup_data___packed {
	__u64 val;
};

struct sock;

/* include/uapi/linux/net.h */
typedef enum {
	SS_UNCONNECTED = 1,
} socket_state;

struct socket {
	socket_state state;
	struct sock *sk;
	struct file *file;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct thread_info {
	__u32 status; /* x86 only */
};

struct task_struct {
	struct thread_info thread_info;
	struct files_struct *files;
};

struct file {
	void *private_data; /* of a socket's: struct socket */
};

struct sock {
	struct sock_common __sk_common;
	int sk_err;
	struct socket *sk_socket;
	unsigned char sk_userlocks : 4;
	kuid_t sk_uid;
	struct sock_cgroup_data sk_cgrp_data;
	__u16 sk_type;
	__u16 sk_protocol;
};

struct inet_sock {
	__be16 inet_sport;
	__u32 local_port_range; /* high << 16 | low */
};

/* From 6.3 (91d0b78c5177) to 6.7 (d9f28735af87). */
struct inet_sock___two_ports {
	struct {
		__u16 lo;
		__u16 hi;
	} local_port_range;
};

struct sockaddr {
	__u16 sa_family;
};

struct inet_connection_sock {
	struct {
		__u32 lrcvtime;
	} icsk_ack;
};

struct tcp_sock {
	__u32 rcv_tstamp;
	__u32 segs_out;
	__u32 rcv_nxt;
	__u32 snd_una;
	__u32 snd_nxt;
	__u32 total_retrans;
	__u32 last_oow_ack_time;
};

struct request_sock {
	struct sock_common __req_common;
};

struct tcp_request_sock {
	__u32 snt_isn;
	__u32 last_oow_ack_time;
	__u32 rcv_nxt;
};

/* What the accept call gets from 6.10 on (92ef0fd55ac8). */
struct proto_accept_arg {
	int flags;
};

struct sk_buff {
	struct sock *sk;
	int skb_iif;
	char cb[48];
	unsigned long _nfct;
	unsigned char *head;
	__u16 transport_header;
};

/* In sk_buff.cb while TCP works on a segment; in host order. */
struct tcp_skb_cb {
	__u32 seq;
	__u32 ack_seq;
	__u8 tcp_flags; /* 16 bits from 6.18 on: this is the lower byte on little endian */
};

struct tcphdr {
	__be16 source;
	__be16 dest;
	__be32 seq;
	__be32 ack_seq;
};

union flowi_uli {
	struct {
		__be16 dport;
		__be16 sport;
	} ports;
};

struct flowi4 {
	__be32 saddr;
	__be32 daddr;
	union flowi_uli uli;
};

struct flowi6 {
	struct in6_addr daddr;
	struct in6_addr saddr;
	union flowi_uli uli;
};

/* Numbers drift between kernels: always ask bpf_core_enum_value(). */
enum skb_drop_reason {
	SKB_DROP_REASON_NETFILTER_DROP,
	SKB_DROP_REASON_TCP_RESET,
	SKB_DROP_REASON_TCP_INVALID_SYN,
	SKB_DROP_REASON_TCP_TOO_OLD_ACK,
	SKB_DROP_REASON_TCP_ACK_UNSENT_DATA,
};

struct trace_event_raw_sys_enter {
	unsigned long args[6];
};

struct trace_event_raw_sys_exit {
	long ret;
};

#pragma clang attribute pop

#endif
