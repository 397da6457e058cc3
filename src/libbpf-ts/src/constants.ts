// Values of include/uapi/linux/bpf.h. Only what this package or its callers name.

/** enum bpf_map_type. */
export const MapType = {
  PERCPU_HASH: 5,
  PERCPU_ARRAY: 6,
  LRU_PERCPU_HASH: 10,
  PERCPU_CGROUP_STORAGE: 21,
  RINGBUF: 27,
} as const;

/** Flags of a map update. */
export const UpdateFlag = {
  /** Create or replace. */
  ANY: 0,
  /** Fail with EEXIST when the key is there. */
  NOEXIST: 1,
  /** Fail with ENOENT when the key is not there. */
  EXIST: 2,
} as const;

/** Flags of a map. */
export const MapFlag = {
  RDONLY_PROG: 1 << 7,
  MMAPABLE: 1 << 10,
} as const;
