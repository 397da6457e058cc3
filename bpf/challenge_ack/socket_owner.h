/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef TUPLEWATCH_SOCKET_OWNER_H
#define TUPLEWATCH_SOCKET_OWNER_H

/*
 * Which process opened a TCP socket: noted where it connects, listens or accepts, so that an event
 * in softirq context, where the current process is a stranger, can name it.
 */

#include "getters.h"
#include "socket_record.h"

/* Chosen by backends of which a program knows a socket by its address only (kprobes). */
const volatile __u32 config_by_address = 0;

#define MAX_OWNERS 65536

/* By address of the struct sock; an entry is removed when the socket is destroyed. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_OWNERS);
	__type(key, __u64);
	__type(value, struct process);
} owners_by_address SEC(".maps");

static __always_inline void describe_current(struct process *process)
{
	process->pid = bpf_get_current_pid_tgid() >> 32;
	process->uid = (__u32)bpf_get_current_uid_gid();
	bpf_get_current_comm(process->comm, sizeof(process->comm));
}

/* NULL where nobody is known. */
static __always_inline struct process *find_owner(struct sock *sk)
{
	struct socket_record *record;
	__u64 key = (__u64)sk;

	if (config_by_address)
		return bpf_map_lookup_elem(&owners_by_address, &key);
	record = bpf_sk_storage_get(&socket_records, sk, NULL, 0);
	return record && record->opener.pid ? &record->opener : NULL;
}

/* `sk` belongs to the current process from now on. */
static __always_inline void remember_owner_by_address(struct sock *sk)
{
	struct process process = {};
	__u64 key = (__u64)sk;

	describe_current(&process);
	bpf_map_update_elem(&owners_by_address, &key, &process, BPF_ANY);
}

/* As above; `sk` must be a pointer that the verifier knows for a socket. */
static __always_inline void remember_owner(struct sock *sk)
{
	struct socket_record *record;

	if (config_by_address) {
		remember_owner_by_address(sk);
		return;
	}
	record = bpf_sk_storage_get(&socket_records, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	/* The connect probe has noted who makes an attempt that is under way. */
	if (record && !record->attempt.is_open)
		describe_current(&record->opener);
}

static __always_inline void forget_owner(struct sock *sk)
{
	__u64 key = (__u64)sk;

	if (config_by_address)
		bpf_map_delete_elem(&owners_by_address, &key);
}

/* The process is left out where the socket was opened before the daemon was there to see it. */
static __always_inline void read_opener(struct event_head *head, struct sock *sk)
{
	struct process *process = find_owner(sk);
	__u32 uid;

	read_socket_owner(head, sk);
	if (!process)
		return;
	uid = head->process.uid;
	head->process = *process;
	head->process.uid = uid;
}

#endif
