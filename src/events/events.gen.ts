// Generated from bpf/include/events.h: do not edit.

import { type RecordViews, readString, type StructLayout } from "libbpf-ts";

/** enum event_type. */
export const eventTypeNames = {
  1: "connect",
  2: "challenge_ack",
  3: "conntrack_insert_failed",
  4: "challenge_outcome",
  5: "flow_retry",
  6: "stale_flow_reuse",
  7: "port_bind",
} as const;

/** enum attribution. */
export const attributionNames = {
  0: "none",
  1: "current",
  2: "socket",
  3: "flow_owner",
} as const;

/** enum inferred. */
export const inferredNames = {
  1: "result",
  2: "duration_ns",
  8: "cause",
} as const;

/** enum backend. */
export const backendNames = {
  1: "fentry",
  2: "kprobe",
  3: "drop_tracepoint",
  4: "syscall_tracepoint",
  5: "tcp_state",
} as const;

/** enum technique. */
export const techniqueNames = {
  0: "plain",
  1: "bound_port",
  2: "bind_before_connect",
  3: "bind_address_no_port",
  4: "reuseaddr",
} as const;

/** enum return_source. */
export const returnSourceNames = {
  0: "none",
  1: "syscall",
  2: "fexit",
} as const;

/** enum connect_events. */
export const connectEventsNames = {
  0: "all",
  1: "failed",
  2: "none",
  3: "notable",
} as const;

/** enum connect_buckets. */
export const connectBucketsNames = {
  14: "connect_buckets",
} as const;

/** enum trigger. */
export const triggerNames = {
  0: "other",
  1: "rst",
  2: "syn",
  3: "ack_too_old",
  4: "ack_too_new",
  5: "paws",
} as const;

/** enum sent. */
export const sentNames = {
  0: "unknown",
  1: "yes",
  2: "socket_limited",
  3: "netns_limited",
} as const;

/** enum outcome. */
export const outcomeNames = {
  1: "reset_by_peer",
  2: "closed",
  3: "survived",
} as const;

/** enum expiry. */
export const expiryNames = {
  64: "per_run",
} as const;

/** enum verdict. */
export const verdictNames = {
  0: "dropped",
  1: "resolved",
} as const;

/** enum cause. */
export const causeNames = {
  0: "other",
  1: "clash",
  2: "chain_too_long",
  3: "dying",
  4: "table_full",
  5: "no_unique_tuple",
} as const;

/** enum nat. */
export const natNames = {
  0: "none",
  1: "snat",
  2: "dnat",
  3: "both",
} as const;

/** enum bind_technique. */
export const bindTechniqueNames = {
  0: "fixed_port",
  1: "any_port",
  2: "listen",
  3: "autobind",
} as const;

/** counters, 48 bytes. */
export interface Counters {
  readonly attempted: bigint;
  readonly emitted: bigint;
  readonly lost: bigint;
  readonly filtered: bigint;
  readonly rateLimited: bigint;
  readonly rateLimitedOrdinary: bigint;
}

export function decodeCounters(views: RecordViews, at: number): Counters {
  return {
    attempted: views.u64[at >> 3] as bigint,
    emitted: views.u64[(at + 8) >> 3] as bigint,
    lost: views.u64[(at + 16) >> 3] as bigint,
    filtered: views.u64[(at + 24) >> 3] as bigint,
    rateLimited: views.u64[(at + 32) >> 3] as bigint,
    rateLimitedOrdinary: views.u64[(at + 40) >> 3] as bigint,
  };
}

export const countersLayout: StructLayout = {
  name: "counters",
  size: 48,
  fields: [
    { name: "attempted", offset: 0, size: 8, kind: "u64" },
    { name: "emitted", offset: 8, size: 8, kind: "u64" },
    { name: "lost", offset: 16, size: 8, kind: "u64" },
    { name: "filtered", offset: 24, size: 8, kind: "u64" },
    { name: "rate_limited", offset: 32, size: 8, kind: "u64" },
    { name: "rate_limited_ordinary", offset: 40, size: 8, kind: "u64" },
  ],
};

/** cgroup_path, 520 bytes. */
export interface CgroupPath {
  readonly id: bigint;
  readonly path: string;
}

export function decodeCgroupPath(views: RecordViews, at: number): CgroupPath {
  return {
    id: views.u64[at >> 3] as bigint,
    path: readString(views.u8, at + 8, 512),
  };
}

export const cgroupPathLayout: StructLayout = {
  name: "cgroup_path",
  size: 520,
  fields: [
    { name: "id", offset: 0, size: 8, kind: "u64" },
    { name: "path", offset: 8, size: 512, kind: "string" },
  ],
};

/** connect_kind, 8 bytes. */
export interface ConnectKind {
  readonly error: number;
  readonly protocol: number;
  readonly technique: number;
}

export function decodeConnectKind(views: RecordViews, at: number): ConnectKind {
  return {
    error: views.i32[at >> 2] as number,
    protocol: views.u16[(at + 4) >> 1] as number,
    technique: views.u8[at + 6] as number,
  };
}

export const connectKindLayout: StructLayout = {
  name: "connect_kind",
  size: 8,
  fields: [
    { name: "error", offset: 0, size: 4, kind: "i32" },
    { name: "protocol", offset: 4, size: 2, kind: "u16" },
    { name: "technique", offset: 6, size: 1, kind: "u8" },
    { name: "pad", offset: 7, size: 1, kind: "u8" },
  ],
};

/** connect_tally, 144 bytes. */
export interface ConnectTally {
  readonly durationNs: bigint;
  readonly synRetransmits: bigint;
  readonly conflicts: bigint;
  readonly buckets: BigUint64Array;
}

export function decodeConnectTally(views: RecordViews, at: number): ConnectTally {
  return {
    durationNs: views.u64[at >> 3] as bigint,
    synRetransmits: views.u64[(at + 8) >> 3] as bigint,
    conflicts: views.u64[(at + 16) >> 3] as bigint,
    buckets: views.u64.slice((at + 24) >> 3, (at + 144) >> 3),
  };
}

export const connectTallyLayout: StructLayout = {
  name: "connect_tally",
  size: 144,
  fields: [
    { name: "duration_ns", offset: 0, size: 8, kind: "u64" },
    { name: "syn_retransmits", offset: 8, size: 8, kind: "u64" },
    { name: "conflicts", offset: 16, size: 8, kind: "u64" },
    {
      name: "buckets",
      offset: 24,
      size: 120,
      kind: "array",
      count: 15,
      element: { name: "", offset: 0, size: 8, kind: "u64" },
    },
  ],
};

/** port_bind_kind, 8 bytes. */
export interface PortBindKind {
  readonly error: number;
  readonly protocol: number;
  readonly bindTechnique: number;
}

export function decodePortBindKind(views: RecordViews, at: number): PortBindKind {
  return {
    error: views.i32[at >> 2] as number,
    protocol: views.u16[(at + 4) >> 1] as number,
    bindTechnique: views.u8[at + 6] as number,
  };
}

export const portBindKindLayout: StructLayout = {
  name: "port_bind_kind",
  size: 8,
  fields: [
    { name: "error", offset: 0, size: 4, kind: "i32" },
    { name: "protocol", offset: 4, size: 2, kind: "u16" },
    { name: "bind_technique", offset: 6, size: 1, kind: "u8" },
    { name: "pad", offset: 7, size: 1, kind: "u8" },
  ],
};

/** endpoint, 20 bytes. */
export interface Endpoint {
  readonly address: Uint8Array;
  readonly port: number;
}

export function decodeEndpoint(views: RecordViews, at: number): Endpoint {
  return {
    address: views.u8.slice(at, at + 16),
    port: views.u16[(at + 16) >> 1] as number,
  };
}

export const endpointLayout: StructLayout = {
  name: "endpoint",
  size: 20,
  fields: [
    { name: "address", offset: 0, size: 16, kind: "bytes" },
    { name: "port", offset: 16, size: 2, kind: "u16" },
    { name: "pad", offset: 18, size: 2, kind: "u16" },
  ],
};

/** port_key, 56 bytes. */
export interface PortKey {
  readonly netns: bigint;
  readonly local: Endpoint;
  readonly peer: Endpoint;
  readonly protocol: number;
  readonly fingerprint: number;
}

export function decodePortKey(views: RecordViews, at: number): PortKey {
  return {
    netns: views.u64[at >> 3] as bigint,
    local: decodeEndpoint(views, at + 8),
    peer: decodeEndpoint(views, at + 28),
    protocol: views.u32[(at + 48) >> 2] as number,
    fingerprint: views.u32[(at + 52) >> 2] as number,
  };
}

export const portKeyLayout: StructLayout = {
  name: "port_key",
  size: 56,
  fields: [
    { name: "netns", offset: 0, size: 8, kind: "u64" },
    { name: "local", offset: 8, size: 20, kind: "struct", struct: endpointLayout },
    { name: "peer", offset: 28, size: 20, kind: "struct", struct: endpointLayout },
    { name: "protocol", offset: 48, size: 4, kind: "u32" },
    { name: "fingerprint", offset: 52, size: 4, kind: "u32" },
  ],
};

/** process, 24 bytes. */
export interface Process {
  readonly pid: number;
  readonly uid: number;
  readonly comm: string;
}

export function decodeProcess(views: RecordViews, at: number): Process {
  return {
    pid: views.u32[at >> 2] as number,
    uid: views.u32[(at + 4) >> 2] as number,
    comm: readString(views.u8, at + 8, 16),
  };
}

export const processLayout: StructLayout = {
  name: "process",
  size: 24,
  fields: [
    { name: "pid", offset: 0, size: 4, kind: "u32" },
    { name: "uid", offset: 4, size: 4, kind: "u32" },
    { name: "comm", offset: 8, size: 16, kind: "string" },
  ],
};

/** port_opener, 56 bytes. */
export interface PortOpener {
  readonly timeNs: bigint;
  readonly cgroupId: bigint;
  readonly sk: bigint;
  readonly process: Process;
  readonly isBound: number;
  readonly isFixed: number;
}

export function decodePortOpener(views: RecordViews, at: number): PortOpener {
  return {
    timeNs: views.u64[at >> 3] as bigint,
    cgroupId: views.u64[(at + 8) >> 3] as bigint,
    sk: views.u64[(at + 16) >> 3] as bigint,
    process: decodeProcess(views, at + 24),
    isBound: views.u8[at + 48] as number,
    isFixed: views.u8[at + 49] as number,
  };
}

export const portOpenerLayout: StructLayout = {
  name: "port_opener",
  size: 56,
  fields: [
    { name: "time_ns", offset: 0, size: 8, kind: "u64" },
    { name: "cgroup_id", offset: 8, size: 8, kind: "u64" },
    { name: "sk", offset: 16, size: 8, kind: "u64" },
    { name: "process", offset: 24, size: 24, kind: "struct", struct: processLayout },
    { name: "is_bound", offset: 48, size: 1, kind: "u8" },
    { name: "is_fixed", offset: 49, size: 1, kind: "u8" },
    { name: "pad", offset: 50, size: 6, kind: "bytes" },
  ],
};

/** port_entry, 112 bytes. */
export interface PortEntry {
  readonly key: PortKey;
  readonly opener: PortOpener;
}

export function decodePortEntry(views: RecordViews, at: number): PortEntry {
  return {
    key: decodePortKey(views, at),
    opener: decodePortOpener(views, at + 56),
  };
}

export const portEntryLayout: StructLayout = {
  name: "port_entry",
  size: 112,
  fields: [
    { name: "key", offset: 0, size: 56, kind: "struct", struct: portKeyLayout },
    { name: "opener", offset: 56, size: 56, kind: "struct", struct: portOpenerLayout },
  ],
};

/** event_head, 64 bytes. */
export interface EventHead {
  readonly timeNs: bigint;
  readonly netnsCookie: bigint;
  readonly cgroupId: bigint;
  readonly netnsInum: number;
  readonly cpu: number;
  readonly process: Process;
  readonly type: number;
  readonly attribution: number;
  readonly backend: number;
  readonly inferred: number;
}

export function decodeEventHead(views: RecordViews, at: number): EventHead {
  return {
    timeNs: views.u64[at >> 3] as bigint,
    netnsCookie: views.u64[(at + 8) >> 3] as bigint,
    cgroupId: views.u64[(at + 16) >> 3] as bigint,
    netnsInum: views.u32[(at + 24) >> 2] as number,
    cpu: views.u32[(at + 28) >> 2] as number,
    process: decodeProcess(views, at + 32),
    type: views.u16[(at + 56) >> 1] as number,
    attribution: views.u8[at + 58] as number,
    backend: views.u8[at + 59] as number,
    inferred: views.u32[(at + 60) >> 2] as number,
  };
}

export const eventHeadLayout: StructLayout = {
  name: "event_head",
  size: 64,
  fields: [
    { name: "time_ns", offset: 0, size: 8, kind: "u64" },
    { name: "netns_cookie", offset: 8, size: 8, kind: "u64" },
    { name: "cgroup_id", offset: 16, size: 8, kind: "u64" },
    { name: "netns_inum", offset: 24, size: 4, kind: "u32" },
    { name: "cpu", offset: 28, size: 4, kind: "u32" },
    { name: "process", offset: 32, size: 24, kind: "struct", struct: processLayout },
    { name: "type", offset: 56, size: 2, kind: "u16" },
    { name: "attribution", offset: 58, size: 1, kind: "u8" },
    { name: "backend", offset: 59, size: 1, kind: "u8" },
    { name: "inferred", offset: 60, size: 4, kind: "u32" },
  ],
};

/** flow_owner, 56 bytes. */
export interface FlowOwner {
  readonly timeNs: bigint;
  readonly netnsCookie: bigint;
  readonly cgroupId: bigint;
  readonly netnsInum: number;
  readonly process: Process;
}

export function decodeFlowOwner(views: RecordViews, at: number): FlowOwner {
  return {
    timeNs: views.u64[at >> 3] as bigint,
    netnsCookie: views.u64[(at + 8) >> 3] as bigint,
    cgroupId: views.u64[(at + 16) >> 3] as bigint,
    netnsInum: views.u32[(at + 24) >> 2] as number,
    process: decodeProcess(views, at + 28),
  };
}

export const flowOwnerLayout: StructLayout = {
  name: "flow_owner",
  size: 56,
  fields: [
    { name: "time_ns", offset: 0, size: 8, kind: "u64" },
    { name: "netns_cookie", offset: 8, size: 8, kind: "u64" },
    { name: "cgroup_id", offset: 16, size: 8, kind: "u64" },
    { name: "netns_inum", offset: 24, size: 4, kind: "u32" },
    { name: "process", offset: 28, size: 24, kind: "struct", struct: processLayout },
    { name: "pad", offset: 52, size: 4, kind: "u32" },
  ],
};

/** connect_event, 256 bytes. */
export interface ConnectEvent {
  readonly head: EventHead;
  readonly socketCookie: bigint;
  readonly durationNs: bigint;
  readonly local: Endpoint;
  readonly peer: Endpoint;
  readonly error: number;
  readonly protocol: number;
  readonly family: number;
  readonly technique: number;
  readonly synRetransmits: number;
  readonly hasConflict: number;
  readonly hasHolder: number;
  readonly conflictLocal: Endpoint;
  readonly conflictCookie: bigint;
  readonly conflictProcess: Process;
  readonly holder: FlowOwner;
  readonly portSearchNs: bigint;
  readonly portRangeLow: number;
  readonly portRangeHigh: number;
  readonly isSelf: number;
}

export function decodeConnectEvent(views: RecordViews, at: number): ConnectEvent {
  return {
    head: decodeEventHead(views, at),
    socketCookie: views.u64[(at + 64) >> 3] as bigint,
    durationNs: views.u64[(at + 72) >> 3] as bigint,
    local: decodeEndpoint(views, at + 80),
    peer: decodeEndpoint(views, at + 100),
    error: views.i32[(at + 120) >> 2] as number,
    protocol: views.u16[(at + 124) >> 1] as number,
    family: views.u16[(at + 126) >> 1] as number,
    technique: views.u8[at + 128] as number,
    synRetransmits: views.u8[at + 129] as number,
    hasConflict: views.u8[at + 130] as number,
    hasHolder: views.u8[at + 131] as number,
    conflictLocal: decodeEndpoint(views, at + 132),
    conflictCookie: views.u64[(at + 152) >> 3] as bigint,
    conflictProcess: decodeProcess(views, at + 160),
    holder: decodeFlowOwner(views, at + 184),
    portSearchNs: views.u64[(at + 240) >> 3] as bigint,
    portRangeLow: views.u16[(at + 248) >> 1] as number,
    portRangeHigh: views.u16[(at + 250) >> 1] as number,
    isSelf: views.u8[at + 252] as number,
  };
}

export const connectEventLayout: StructLayout = {
  name: "connect_event",
  size: 256,
  fields: [
    { name: "head", offset: 0, size: 64, kind: "struct", struct: eventHeadLayout },
    { name: "socket_cookie", offset: 64, size: 8, kind: "u64" },
    { name: "duration_ns", offset: 72, size: 8, kind: "u64" },
    { name: "local", offset: 80, size: 20, kind: "struct", struct: endpointLayout },
    { name: "peer", offset: 100, size: 20, kind: "struct", struct: endpointLayout },
    { name: "error", offset: 120, size: 4, kind: "i32" },
    { name: "protocol", offset: 124, size: 2, kind: "u16" },
    { name: "family", offset: 126, size: 2, kind: "u16" },
    { name: "technique", offset: 128, size: 1, kind: "u8" },
    { name: "syn_retransmits", offset: 129, size: 1, kind: "u8" },
    { name: "has_conflict", offset: 130, size: 1, kind: "u8" },
    { name: "has_holder", offset: 131, size: 1, kind: "u8" },
    { name: "conflict_local", offset: 132, size: 20, kind: "struct", struct: endpointLayout },
    { name: "conflict_cookie", offset: 152, size: 8, kind: "u64" },
    { name: "conflict_process", offset: 160, size: 24, kind: "struct", struct: processLayout },
    { name: "holder", offset: 184, size: 56, kind: "struct", struct: flowOwnerLayout },
    { name: "port_search_ns", offset: 240, size: 8, kind: "u64" },
    { name: "port_range_low", offset: 248, size: 2, kind: "u16" },
    { name: "port_range_high", offset: 250, size: 2, kind: "u16" },
    { name: "is_self", offset: 252, size: 1, kind: "u8" },
    { name: "pad", offset: 253, size: 3, kind: "bytes" },
  ],
};

/** Where in a row each field lies. */
export const connectEventColumns = {
  headNetnsCookie: 0,
  headCgroupId: 1,
  headNetnsInum: 2,
  headProcessPid: 3,
  durationNs: 4,
  error: 5,
  protocol: 6,
  family: 7,
  technique: 8,
  synRetransmits: 9,
  hasConflict: 10,
  hasHolder: 11,
  conflictProcessPid: 12,
  holderNetnsCookie: 13,
  holderCgroupId: 14,
  holderNetnsInum: 15,
  holderProcessPid: 16,
  portSearchNs: 17,
  portRangeLow: 18,
  portRangeHigh: 19,
  isSelf: 20,
} as const;

/** Numbers per row of decodeConnectEventColumns. */
export const connectEventColumnCount = 21;

/** Writes one row of numbers per record to `out`; 64-bit ones are exact up to 2 ** 53. */
export function decodeConnectEventColumns(
  views: RecordViews,
  offsets: Int32Array,
  count: number,
  out: Float64Array,
): void {
  const { i32, u16, u32, u8 } = views;
  for (let i = 0, row = 0; i < count; i++, row += 21) {
    const at = offsets[i] as number;
    const at2 = at >> 1;
    const at4 = at >> 2;
    out[row] = (u32[at4 + 3] as number) * 4294967296 + (u32[at4 + 2] as number);
    out[row + 1] = (u32[at4 + 5] as number) * 4294967296 + (u32[at4 + 4] as number);
    out[row + 2] = u32[at4 + 6] as number;
    out[row + 3] = u32[at4 + 8] as number;
    out[row + 4] = (u32[at4 + 19] as number) * 4294967296 + (u32[at4 + 18] as number);
    out[row + 5] = i32[at4 + 30] as number;
    out[row + 6] = u16[at2 + 62] as number;
    out[row + 7] = u16[at2 + 63] as number;
    out[row + 8] = u8[at + 128] as number;
    out[row + 9] = u8[at + 129] as number;
    out[row + 10] = u8[at + 130] as number;
    out[row + 11] = u8[at + 131] as number;
    out[row + 12] = u32[at4 + 40] as number;
    out[row + 13] = (u32[at4 + 49] as number) * 4294967296 + (u32[at4 + 48] as number);
    out[row + 14] = (u32[at4 + 51] as number) * 4294967296 + (u32[at4 + 50] as number);
    out[row + 15] = u32[at4 + 52] as number;
    out[row + 16] = u32[at4 + 53] as number;
    out[row + 17] = (u32[at4 + 61] as number) * 4294967296 + (u32[at4 + 60] as number);
    out[row + 18] = u16[at2 + 124] as number;
    out[row + 19] = u16[at2 + 125] as number;
    out[row + 20] = u8[at + 252] as number;
  }
}

/** challenge_ack_event, 144 bytes. */
export interface ChallengeAckEvent {
  readonly head: EventHead;
  readonly socketCookie: bigint;
  readonly idleNs: bigint;
  readonly local: Endpoint;
  readonly peer: Endpoint;
  readonly seq: number;
  readonly ack: number;
  readonly rcvNxt: number;
  readonly sndUna: number;
  readonly tcpState: number;
  readonly trigger: number;
  readonly sent: number;
  readonly hasSegment: number;
  readonly hasIdle: number;
}

export function decodeChallengeAckEvent(views: RecordViews, at: number): ChallengeAckEvent {
  return {
    head: decodeEventHead(views, at),
    socketCookie: views.u64[(at + 64) >> 3] as bigint,
    idleNs: views.u64[(at + 72) >> 3] as bigint,
    local: decodeEndpoint(views, at + 80),
    peer: decodeEndpoint(views, at + 100),
    seq: views.u32[(at + 120) >> 2] as number,
    ack: views.u32[(at + 124) >> 2] as number,
    rcvNxt: views.u32[(at + 128) >> 2] as number,
    sndUna: views.u32[(at + 132) >> 2] as number,
    tcpState: views.u8[at + 136] as number,
    trigger: views.u8[at + 137] as number,
    sent: views.u8[at + 138] as number,
    hasSegment: views.u8[at + 139] as number,
    hasIdle: views.u8[at + 140] as number,
  };
}

export const challengeAckEventLayout: StructLayout = {
  name: "challenge_ack_event",
  size: 144,
  fields: [
    { name: "head", offset: 0, size: 64, kind: "struct", struct: eventHeadLayout },
    { name: "socket_cookie", offset: 64, size: 8, kind: "u64" },
    { name: "idle_ns", offset: 72, size: 8, kind: "u64" },
    { name: "local", offset: 80, size: 20, kind: "struct", struct: endpointLayout },
    { name: "peer", offset: 100, size: 20, kind: "struct", struct: endpointLayout },
    { name: "seq", offset: 120, size: 4, kind: "u32" },
    { name: "ack", offset: 124, size: 4, kind: "u32" },
    { name: "rcv_nxt", offset: 128, size: 4, kind: "u32" },
    { name: "snd_una", offset: 132, size: 4, kind: "u32" },
    { name: "tcp_state", offset: 136, size: 1, kind: "u8" },
    { name: "trigger", offset: 137, size: 1, kind: "u8" },
    { name: "sent", offset: 138, size: 1, kind: "u8" },
    { name: "has_segment", offset: 139, size: 1, kind: "u8" },
    { name: "has_idle", offset: 140, size: 1, kind: "u8" },
    { name: "pad", offset: 141, size: 3, kind: "bytes" },
  ],
};

/** Where in a row each field lies. */
export const challengeAckEventColumns = {
  headNetnsCookie: 0,
  headCgroupId: 1,
  headNetnsInum: 2,
  headProcessPid: 3,
  idleNs: 4,
  seq: 5,
  ack: 6,
  rcvNxt: 7,
  sndUna: 8,
  tcpState: 9,
  trigger: 10,
  sent: 11,
  hasSegment: 12,
  hasIdle: 13,
} as const;

/** Numbers per row of decodeChallengeAckEventColumns. */
export const challengeAckEventColumnCount = 14;

/** Writes one row of numbers per record to `out`; 64-bit ones are exact up to 2 ** 53. */
export function decodeChallengeAckEventColumns(
  views: RecordViews,
  offsets: Int32Array,
  count: number,
  out: Float64Array,
): void {
  const { u32, u8 } = views;
  for (let i = 0, row = 0; i < count; i++, row += 14) {
    const at = offsets[i] as number;
    const at4 = at >> 2;
    out[row] = (u32[at4 + 3] as number) * 4294967296 + (u32[at4 + 2] as number);
    out[row + 1] = (u32[at4 + 5] as number) * 4294967296 + (u32[at4 + 4] as number);
    out[row + 2] = u32[at4 + 6] as number;
    out[row + 3] = u32[at4 + 8] as number;
    out[row + 4] = (u32[at4 + 19] as number) * 4294967296 + (u32[at4 + 18] as number);
    out[row + 5] = u32[at4 + 30] as number;
    out[row + 6] = u32[at4 + 31] as number;
    out[row + 7] = u32[at4 + 32] as number;
    out[row + 8] = u32[at4 + 33] as number;
    out[row + 9] = u8[at + 136] as number;
    out[row + 10] = u8[at + 137] as number;
    out[row + 11] = u8[at + 138] as number;
    out[row + 12] = u8[at + 139] as number;
    out[row + 13] = u8[at + 140] as number;
  }
}

/** challenge_outcome_event, 128 bytes. */
export interface ChallengeOutcomeEvent {
  readonly head: EventHead;
  readonly socketCookie: bigint;
  readonly delayNs: bigint;
  readonly local: Endpoint;
  readonly peer: Endpoint;
  readonly challenges: number;
  readonly outcome: number;
}

export function decodeChallengeOutcomeEvent(views: RecordViews, at: number): ChallengeOutcomeEvent {
  return {
    head: decodeEventHead(views, at),
    socketCookie: views.u64[(at + 64) >> 3] as bigint,
    delayNs: views.u64[(at + 72) >> 3] as bigint,
    local: decodeEndpoint(views, at + 80),
    peer: decodeEndpoint(views, at + 100),
    challenges: views.u32[(at + 120) >> 2] as number,
    outcome: views.u8[at + 124] as number,
  };
}

export const challengeOutcomeEventLayout: StructLayout = {
  name: "challenge_outcome_event",
  size: 128,
  fields: [
    { name: "head", offset: 0, size: 64, kind: "struct", struct: eventHeadLayout },
    { name: "socket_cookie", offset: 64, size: 8, kind: "u64" },
    { name: "delay_ns", offset: 72, size: 8, kind: "u64" },
    { name: "local", offset: 80, size: 20, kind: "struct", struct: endpointLayout },
    { name: "peer", offset: 100, size: 20, kind: "struct", struct: endpointLayout },
    { name: "challenges", offset: 120, size: 4, kind: "u32" },
    { name: "outcome", offset: 124, size: 1, kind: "u8" },
    { name: "pad", offset: 125, size: 3, kind: "bytes" },
  ],
};

/** Where in a row each field lies. */
export const challengeOutcomeEventColumns = {
  headNetnsCookie: 0,
  headCgroupId: 1,
  headNetnsInum: 2,
  headProcessPid: 3,
  delayNs: 4,
  challenges: 5,
  outcome: 6,
} as const;

/** Numbers per row of decodeChallengeOutcomeEventColumns. */
export const challengeOutcomeEventColumnCount = 7;

/** Writes one row of numbers per record to `out`; 64-bit ones are exact up to 2 ** 53. */
export function decodeChallengeOutcomeEventColumns(
  views: RecordViews,
  offsets: Int32Array,
  count: number,
  out: Float64Array,
): void {
  const { u32, u8 } = views;
  for (let i = 0, row = 0; i < count; i++, row += 7) {
    const at = offsets[i] as number;
    const at4 = at >> 2;
    out[row] = (u32[at4 + 3] as number) * 4294967296 + (u32[at4 + 2] as number);
    out[row + 1] = (u32[at4 + 5] as number) * 4294967296 + (u32[at4 + 4] as number);
    out[row + 2] = u32[at4 + 6] as number;
    out[row + 3] = u32[at4 + 8] as number;
    out[row + 4] = (u32[at4 + 19] as number) * 4294967296 + (u32[at4 + 18] as number);
    out[row + 5] = u32[at4 + 30] as number;
    out[row + 6] = u8[at + 124] as number;
  }
}

/** tuple, 40 bytes. */
export interface Tuple {
  readonly src: Endpoint;
  readonly dst: Endpoint;
}

export function decodeTuple(views: RecordViews, at: number): Tuple {
  return {
    src: decodeEndpoint(views, at),
    dst: decodeEndpoint(views, at + 20),
  };
}

export const tupleLayout: StructLayout = {
  name: "tuple",
  size: 40,
  fields: [
    { name: "src", offset: 0, size: 20, kind: "struct", struct: endpointLayout },
    { name: "dst", offset: 20, size: 20, kind: "struct", struct: endpointLayout },
  ],
};

/** conntrack_insert_failed_event, 352 bytes. */
export interface ConntrackInsertFailedEvent {
  readonly head: EventHead;
  readonly original: Tuple;
  readonly reply: Tuple;
  readonly owner: FlowOwner;
  readonly protocol: number;
  readonly zone: number;
  readonly nat: number;
  readonly verdict: number;
  readonly cause: number;
  readonly hasWinner: number;
  readonly winnerOriginal: Tuple;
  readonly winnerReply: Tuple;
  readonly winnerOwner: FlowOwner;
  readonly refusals: number;
}

export function decodeConntrackInsertFailedEvent(
  views: RecordViews,
  at: number,
): ConntrackInsertFailedEvent {
  return {
    head: decodeEventHead(views, at),
    original: decodeTuple(views, at + 64),
    reply: decodeTuple(views, at + 104),
    owner: decodeFlowOwner(views, at + 144),
    protocol: views.u16[(at + 200) >> 1] as number,
    zone: views.u16[(at + 202) >> 1] as number,
    nat: views.u8[at + 204] as number,
    verdict: views.u8[at + 205] as number,
    cause: views.u8[at + 206] as number,
    hasWinner: views.u8[at + 207] as number,
    winnerOriginal: decodeTuple(views, at + 208),
    winnerReply: decodeTuple(views, at + 248),
    winnerOwner: decodeFlowOwner(views, at + 288),
    refusals: views.u32[(at + 344) >> 2] as number,
  };
}

export const conntrackInsertFailedEventLayout: StructLayout = {
  name: "conntrack_insert_failed_event",
  size: 352,
  fields: [
    { name: "head", offset: 0, size: 64, kind: "struct", struct: eventHeadLayout },
    { name: "original", offset: 64, size: 40, kind: "struct", struct: tupleLayout },
    { name: "reply", offset: 104, size: 40, kind: "struct", struct: tupleLayout },
    { name: "owner", offset: 144, size: 56, kind: "struct", struct: flowOwnerLayout },
    { name: "protocol", offset: 200, size: 2, kind: "u16" },
    { name: "zone", offset: 202, size: 2, kind: "u16" },
    { name: "nat", offset: 204, size: 1, kind: "u8" },
    { name: "verdict", offset: 205, size: 1, kind: "u8" },
    { name: "cause", offset: 206, size: 1, kind: "u8" },
    { name: "has_winner", offset: 207, size: 1, kind: "u8" },
    { name: "winner_original", offset: 208, size: 40, kind: "struct", struct: tupleLayout },
    { name: "winner_reply", offset: 248, size: 40, kind: "struct", struct: tupleLayout },
    { name: "winner_owner", offset: 288, size: 56, kind: "struct", struct: flowOwnerLayout },
    { name: "refusals", offset: 344, size: 4, kind: "u32" },
    { name: "pad", offset: 348, size: 4, kind: "u32" },
  ],
};

/** Where in a row each field lies. */
export const conntrackInsertFailedEventColumns = {
  headNetnsCookie: 0,
  headCgroupId: 1,
  headNetnsInum: 2,
  headProcessPid: 3,
  ownerNetnsCookie: 4,
  ownerCgroupId: 5,
  ownerNetnsInum: 6,
  ownerProcessPid: 7,
  protocol: 8,
  zone: 9,
  nat: 10,
  verdict: 11,
  cause: 12,
  hasWinner: 13,
  winnerOwnerNetnsCookie: 14,
  winnerOwnerCgroupId: 15,
  winnerOwnerNetnsInum: 16,
  winnerOwnerProcessPid: 17,
  refusals: 18,
} as const;

/** Numbers per row of decodeConntrackInsertFailedEventColumns. */
export const conntrackInsertFailedEventColumnCount = 19;

/** Writes one row of numbers per record to `out`; 64-bit ones are exact up to 2 ** 53. */
export function decodeConntrackInsertFailedEventColumns(
  views: RecordViews,
  offsets: Int32Array,
  count: number,
  out: Float64Array,
): void {
  const { u16, u32, u8 } = views;
  for (let i = 0, row = 0; i < count; i++, row += 19) {
    const at = offsets[i] as number;
    const at2 = at >> 1;
    const at4 = at >> 2;
    out[row] = (u32[at4 + 3] as number) * 4294967296 + (u32[at4 + 2] as number);
    out[row + 1] = (u32[at4 + 5] as number) * 4294967296 + (u32[at4 + 4] as number);
    out[row + 2] = u32[at4 + 6] as number;
    out[row + 3] = u32[at4 + 8] as number;
    out[row + 4] = (u32[at4 + 39] as number) * 4294967296 + (u32[at4 + 38] as number);
    out[row + 5] = (u32[at4 + 41] as number) * 4294967296 + (u32[at4 + 40] as number);
    out[row + 6] = u32[at4 + 42] as number;
    out[row + 7] = u32[at4 + 43] as number;
    out[row + 8] = u16[at2 + 100] as number;
    out[row + 9] = u16[at2 + 101] as number;
    out[row + 10] = u8[at + 204] as number;
    out[row + 11] = u8[at + 205] as number;
    out[row + 12] = u8[at + 206] as number;
    out[row + 13] = u8[at + 207] as number;
    out[row + 14] = (u32[at4 + 75] as number) * 4294967296 + (u32[at4 + 74] as number);
    out[row + 15] = (u32[at4 + 77] as number) * 4294967296 + (u32[at4 + 76] as number);
    out[row + 16] = u32[at4 + 78] as number;
    out[row + 17] = u32[at4 + 79] as number;
    out[row + 18] = u32[at4 + 86] as number;
  }
}

/** flow_retry_event, 120 bytes. */
export interface FlowRetryEvent {
  readonly head: EventHead;
  readonly delayNs: bigint;
  readonly original: Tuple;
  readonly refusals: number;
  readonly protocol: number;
  readonly zone: number;
}

export function decodeFlowRetryEvent(views: RecordViews, at: number): FlowRetryEvent {
  return {
    head: decodeEventHead(views, at),
    delayNs: views.u64[(at + 64) >> 3] as bigint,
    original: decodeTuple(views, at + 72),
    refusals: views.u32[(at + 112) >> 2] as number,
    protocol: views.u16[(at + 116) >> 1] as number,
    zone: views.u16[(at + 118) >> 1] as number,
  };
}

export const flowRetryEventLayout: StructLayout = {
  name: "flow_retry_event",
  size: 120,
  fields: [
    { name: "head", offset: 0, size: 64, kind: "struct", struct: eventHeadLayout },
    { name: "delay_ns", offset: 64, size: 8, kind: "u64" },
    { name: "original", offset: 72, size: 40, kind: "struct", struct: tupleLayout },
    { name: "refusals", offset: 112, size: 4, kind: "u32" },
    { name: "protocol", offset: 116, size: 2, kind: "u16" },
    { name: "zone", offset: 118, size: 2, kind: "u16" },
  ],
};

/** Where in a row each field lies. */
export const flowRetryEventColumns = {
  headNetnsCookie: 0,
  headCgroupId: 1,
  headNetnsInum: 2,
  headProcessPid: 3,
  delayNs: 4,
  refusals: 5,
  protocol: 6,
  zone: 7,
} as const;

/** Numbers per row of decodeFlowRetryEventColumns. */
export const flowRetryEventColumnCount = 8;

/** Writes one row of numbers per record to `out`; 64-bit ones are exact up to 2 ** 53. */
export function decodeFlowRetryEventColumns(
  views: RecordViews,
  offsets: Int32Array,
  count: number,
  out: Float64Array,
): void {
  const { u16, u32 } = views;
  for (let i = 0, row = 0; i < count; i++, row += 8) {
    const at = offsets[i] as number;
    const at2 = at >> 1;
    const at4 = at >> 2;
    out[row] = (u32[at4 + 3] as number) * 4294967296 + (u32[at4 + 2] as number);
    out[row + 1] = (u32[at4 + 5] as number) * 4294967296 + (u32[at4 + 4] as number);
    out[row + 2] = u32[at4 + 6] as number;
    out[row + 3] = u32[at4 + 8] as number;
    out[row + 4] = (u32[at4 + 17] as number) * 4294967296 + (u32[at4 + 16] as number);
    out[row + 5] = u32[at4 + 28] as number;
    out[row + 6] = u16[at2 + 58] as number;
    out[row + 7] = u16[at2 + 59] as number;
  }
}

/** stale_flow_reuse_event, 232 bytes. */
export interface StaleFlowReuseEvent {
  readonly head: EventHead;
  readonly socketCookie: bigint;
  readonly oldSocketCookie: bigint;
  readonly ageNs: bigint;
  readonly oldOwner: FlowOwner;
  readonly original: Tuple;
  readonly reply: Tuple;
  readonly protocol: number;
  readonly zone: number;
  readonly nat: number;
  readonly redirected: number;
}

export function decodeStaleFlowReuseEvent(views: RecordViews, at: number): StaleFlowReuseEvent {
  return {
    head: decodeEventHead(views, at),
    socketCookie: views.u64[(at + 64) >> 3] as bigint,
    oldSocketCookie: views.u64[(at + 72) >> 3] as bigint,
    ageNs: views.u64[(at + 80) >> 3] as bigint,
    oldOwner: decodeFlowOwner(views, at + 88),
    original: decodeTuple(views, at + 144),
    reply: decodeTuple(views, at + 184),
    protocol: views.u16[(at + 224) >> 1] as number,
    zone: views.u16[(at + 226) >> 1] as number,
    nat: views.u8[at + 228] as number,
    redirected: views.u8[at + 229] as number,
  };
}

export const staleFlowReuseEventLayout: StructLayout = {
  name: "stale_flow_reuse_event",
  size: 232,
  fields: [
    { name: "head", offset: 0, size: 64, kind: "struct", struct: eventHeadLayout },
    { name: "socket_cookie", offset: 64, size: 8, kind: "u64" },
    { name: "old_socket_cookie", offset: 72, size: 8, kind: "u64" },
    { name: "age_ns", offset: 80, size: 8, kind: "u64" },
    { name: "old_owner", offset: 88, size: 56, kind: "struct", struct: flowOwnerLayout },
    { name: "original", offset: 144, size: 40, kind: "struct", struct: tupleLayout },
    { name: "reply", offset: 184, size: 40, kind: "struct", struct: tupleLayout },
    { name: "protocol", offset: 224, size: 2, kind: "u16" },
    { name: "zone", offset: 226, size: 2, kind: "u16" },
    { name: "nat", offset: 228, size: 1, kind: "u8" },
    { name: "redirected", offset: 229, size: 1, kind: "u8" },
    { name: "pad", offset: 230, size: 2, kind: "bytes" },
  ],
};

/** Where in a row each field lies. */
export const staleFlowReuseEventColumns = {
  headNetnsCookie: 0,
  headCgroupId: 1,
  headNetnsInum: 2,
  headProcessPid: 3,
  ageNs: 4,
  oldOwnerNetnsCookie: 5,
  oldOwnerCgroupId: 6,
  oldOwnerNetnsInum: 7,
  oldOwnerProcessPid: 8,
  protocol: 9,
  zone: 10,
  nat: 11,
  redirected: 12,
} as const;

/** Numbers per row of decodeStaleFlowReuseEventColumns. */
export const staleFlowReuseEventColumnCount = 13;

/** Writes one row of numbers per record to `out`; 64-bit ones are exact up to 2 ** 53. */
export function decodeStaleFlowReuseEventColumns(
  views: RecordViews,
  offsets: Int32Array,
  count: number,
  out: Float64Array,
): void {
  const { u16, u32, u8 } = views;
  for (let i = 0, row = 0; i < count; i++, row += 13) {
    const at = offsets[i] as number;
    const at2 = at >> 1;
    const at4 = at >> 2;
    out[row] = (u32[at4 + 3] as number) * 4294967296 + (u32[at4 + 2] as number);
    out[row + 1] = (u32[at4 + 5] as number) * 4294967296 + (u32[at4 + 4] as number);
    out[row + 2] = u32[at4 + 6] as number;
    out[row + 3] = u32[at4 + 8] as number;
    out[row + 4] = (u32[at4 + 21] as number) * 4294967296 + (u32[at4 + 20] as number);
    out[row + 5] = (u32[at4 + 25] as number) * 4294967296 + (u32[at4 + 24] as number);
    out[row + 6] = (u32[at4 + 27] as number) * 4294967296 + (u32[at4 + 26] as number);
    out[row + 7] = u32[at4 + 28] as number;
    out[row + 8] = u32[at4 + 29] as number;
    out[row + 9] = u16[at2 + 112] as number;
    out[row + 10] = u16[at2 + 113] as number;
    out[row + 11] = u8[at + 228] as number;
    out[row + 12] = u8[at + 229] as number;
  }
}

/** port_bind_event, 168 bytes. */
export interface PortBindEvent {
  readonly head: EventHead;
  readonly socketCookie: bigint;
  readonly local: Endpoint;
  readonly error: number;
  readonly protocol: number;
  readonly family: number;
  readonly bindTechnique: number;
  readonly hasHolder: number;
  readonly holder: FlowOwner;
}

export function decodePortBindEvent(views: RecordViews, at: number): PortBindEvent {
  return {
    head: decodeEventHead(views, at),
    socketCookie: views.u64[(at + 64) >> 3] as bigint,
    local: decodeEndpoint(views, at + 72),
    error: views.i32[(at + 92) >> 2] as number,
    protocol: views.u16[(at + 96) >> 1] as number,
    family: views.u16[(at + 98) >> 1] as number,
    bindTechnique: views.u8[at + 100] as number,
    hasHolder: views.u8[at + 101] as number,
    holder: decodeFlowOwner(views, at + 112),
  };
}

export const portBindEventLayout: StructLayout = {
  name: "port_bind_event",
  size: 168,
  fields: [
    { name: "head", offset: 0, size: 64, kind: "struct", struct: eventHeadLayout },
    { name: "socket_cookie", offset: 64, size: 8, kind: "u64" },
    { name: "local", offset: 72, size: 20, kind: "struct", struct: endpointLayout },
    { name: "error", offset: 92, size: 4, kind: "i32" },
    { name: "protocol", offset: 96, size: 2, kind: "u16" },
    { name: "family", offset: 98, size: 2, kind: "u16" },
    { name: "bind_technique", offset: 100, size: 1, kind: "u8" },
    { name: "has_holder", offset: 101, size: 1, kind: "u8" },
    { name: "pad", offset: 102, size: 6, kind: "bytes" },
    { name: "holder", offset: 112, size: 56, kind: "struct", struct: flowOwnerLayout },
  ],
};

/** Where in a row each field lies. */
export const portBindEventColumns = {
  headNetnsCookie: 0,
  headCgroupId: 1,
  headNetnsInum: 2,
  headProcessPid: 3,
  error: 4,
  protocol: 5,
  family: 6,
  bindTechnique: 7,
  hasHolder: 8,
  holderNetnsCookie: 9,
  holderCgroupId: 10,
  holderNetnsInum: 11,
  holderProcessPid: 12,
} as const;

/** Numbers per row of decodePortBindEventColumns. */
export const portBindEventColumnCount = 13;

/** Writes one row of numbers per record to `out`; 64-bit ones are exact up to 2 ** 53. */
export function decodePortBindEventColumns(
  views: RecordViews,
  offsets: Int32Array,
  count: number,
  out: Float64Array,
): void {
  const { i32, u16, u32, u8 } = views;
  for (let i = 0, row = 0; i < count; i++, row += 13) {
    const at = offsets[i] as number;
    const at2 = at >> 1;
    const at4 = at >> 2;
    out[row] = (u32[at4 + 3] as number) * 4294967296 + (u32[at4 + 2] as number);
    out[row + 1] = (u32[at4 + 5] as number) * 4294967296 + (u32[at4 + 4] as number);
    out[row + 2] = u32[at4 + 6] as number;
    out[row + 3] = u32[at4 + 8] as number;
    out[row + 4] = i32[at4 + 23] as number;
    out[row + 5] = u16[at2 + 48] as number;
    out[row + 6] = u16[at2 + 49] as number;
    out[row + 7] = u8[at + 100] as number;
    out[row + 8] = u8[at + 101] as number;
    out[row + 9] = (u32[at4 + 31] as number) * 4294967296 + (u32[at4 + 30] as number);
    out[row + 10] = (u32[at4 + 33] as number) * 4294967296 + (u32[at4 + 32] as number);
    out[row + 11] = u32[at4 + 34] as number;
    out[row + 12] = u32[at4 + 35] as number;
  }
}

/** Layout, decoders and enumerations of the records of each event type, by its name. */
export const RECORDS = {
  connect: {
    type: "connect",
    layout: connectEventLayout,
    columns: connectEventColumns,
    columnCount: connectEventColumnCount,
    enums: { technique: techniqueNames },
    decode: decodeConnectEvent,
    decodeColumns: decodeConnectEventColumns,
  },
  challenge_ack: {
    type: "challenge_ack",
    layout: challengeAckEventLayout,
    columns: challengeAckEventColumns,
    columnCount: challengeAckEventColumnCount,
    enums: { trigger: triggerNames, sent: sentNames },
    decode: decodeChallengeAckEvent,
    decodeColumns: decodeChallengeAckEventColumns,
  },
  challenge_outcome: {
    type: "challenge_outcome",
    layout: challengeOutcomeEventLayout,
    columns: challengeOutcomeEventColumns,
    columnCount: challengeOutcomeEventColumnCount,
    enums: { outcome: outcomeNames },
    decode: decodeChallengeOutcomeEvent,
    decodeColumns: decodeChallengeOutcomeEventColumns,
  },
  conntrack_insert_failed: {
    type: "conntrack_insert_failed",
    layout: conntrackInsertFailedEventLayout,
    columns: conntrackInsertFailedEventColumns,
    columnCount: conntrackInsertFailedEventColumnCount,
    enums: { nat: natNames, verdict: verdictNames, cause: causeNames },
    decode: decodeConntrackInsertFailedEvent,
    decodeColumns: decodeConntrackInsertFailedEventColumns,
  },
  flow_retry: {
    type: "flow_retry",
    layout: flowRetryEventLayout,
    columns: flowRetryEventColumns,
    columnCount: flowRetryEventColumnCount,
    enums: {},
    decode: decodeFlowRetryEvent,
    decodeColumns: decodeFlowRetryEventColumns,
  },
  stale_flow_reuse: {
    type: "stale_flow_reuse",
    layout: staleFlowReuseEventLayout,
    columns: staleFlowReuseEventColumns,
    columnCount: staleFlowReuseEventColumnCount,
    enums: { nat: natNames },
    decode: decodeStaleFlowReuseEvent,
    decodeColumns: decodeStaleFlowReuseEventColumns,
  },
  port_bind: {
    type: "port_bind",
    layout: portBindEventLayout,
    columns: portBindEventColumns,
    columnCount: portBindEventColumnCount,
    enums: { bindTechnique: bindTechniqueNames },
    decode: decodePortBindEvent,
    decodeColumns: decodePortBindEventColumns,
  },
} as const;
