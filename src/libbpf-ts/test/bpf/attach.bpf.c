// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* One program per way to attach; each counts the renames of one process's main thread. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

const volatile __u32 config_tgid;
__u64 seen_tp_btf;
__u64 seen_raw;
__u64 seen_tracepoint;
__u64 seen_kprobe;
__u64 seen_connect;

static void count(__u64 *seen)
{
	if (bpf_get_current_pid_tgid() >> 32 == config_tgid)
		__sync_fetch_and_add(seen, 1);
}

SEC("tp_btf/task_rename")
int on_tp_btf(void *ctx)
{
	(void)ctx;
	count(&seen_tp_btf);
	return 0;
}

SEC("raw_tp/task_rename")
int on_raw(void *ctx)
{
	(void)ctx;
	count(&seen_raw);
	return 0;
}

SEC("tracepoint/task/task_rename")
int on_tracepoint(void *ctx)
{
	(void)ctx;
	count(&seen_tracepoint);
	return 0;
}

SEC("kprobe")
int on_kprobe(void *ctx)
{
	(void)ctx;
	count(&seen_kprobe);
	return 0;
}

SEC("fentry/__set_task_comm")
int on_fentry(void *ctx)
{
	(void)ctx;
	return 0;
}

SEC("cgroup/connect4")
int on_connect4(void *ctx)
{
	(void)ctx;
	count(&seen_connect);
	return 1;
}

char _license[] SEC("license") = "Dual MIT/GPL";
