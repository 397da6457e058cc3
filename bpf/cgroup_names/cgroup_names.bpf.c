// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Paths of cgroups, told when they are made. A container that lives for a blink is gone before
 * anybody can look into the cgroup file system; an event that names its cgroup by id comes later
 * still, so that its path is in the ring by then. Runs once for each new cgroup.
 */
#include "events.h"
#include "kernel.h"

/* Keeps the struct in BTF, where the daemon looks whether the layouts agree. */
static const struct cgroup_path *unused_path __attribute__((unused, used));

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} cgroup_paths SEC(".maps");

/* The version 1 hierarchies have ids of their own, which no event carries; 0 is version 2. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_mkdir, struct cgroup *cgroup, const char *path)
{
	struct cgroup_path *record;

	if (BPF_CORE_READ(cgroup, root, hierarchy_id))
		return 0;
	record = bpf_ringbuf_reserve(&cgroup_paths, sizeof(*record), 0);
	if (!record)
		return 0; /* the cgroup file system still knows it, while it is there */
	record->id = BPF_CORE_READ(cgroup, kn, id);
	if (bpf_probe_read_kernel_str(record->path, sizeof(record->path), path) ==
		sizeof(record->path))
		record->path[0] = 0; /* perhaps cut off: better no name */
	bpf_ringbuf_submit(record, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
