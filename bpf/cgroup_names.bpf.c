// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Paths of cgroups, noted when they are made. A container that lives for a blink is gone before
 * anybody can look into the cgroup file system; an event that names its cgroup by id comes later
 * still. Runs once for each new cgroup.
 */
#include "kernel.h"

#define MAX_PATHS 2048
#define PATH_BYTES 512 /* of the 1024 that the tracepoint passes on: TRACE_CGROUP_PATH_LEN */

struct cgroup_path {
	char text[PATH_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_PATHS);
	__type(key, __u64);
	__type(value, struct cgroup_path);
} cgroup_paths SEC(".maps");

static const struct cgroup_path no_path;

/* The version 1 hierarchies have ids of their own, which no event carries; 0 is version 2. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_mkdir, struct cgroup *cgroup, const char *path)
{
	struct cgroup_path *kept;
	__u64 id;

	if (BPF_CORE_READ(cgroup, root, hierarchy_id))
		return 0;
	id = BPF_CORE_READ(cgroup, kn, id);
	bpf_map_update_elem(&cgroup_paths, &id, &no_path, BPF_ANY);
	kept = bpf_map_lookup_elem(&cgroup_paths, &id);
	if (kept && bpf_probe_read_kernel_str(kept->text, PATH_BYTES, path) == PATH_BYTES)
		bpf_map_delete_elem(&cgroup_paths, &id); /* perhaps cut off: better no name */
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
