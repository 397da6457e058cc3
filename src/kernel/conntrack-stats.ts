import { existsSync, readFileSync } from "node:fs";
import { closeFd, netlinkAddress, openSocket, Posix, receive, sendTo } from "libbpf-ts";

/** Counters of one network namespace, summed over CPUs. */
export interface ConntrackStats {
  readonly found: number;
  readonly invalid: number;
  readonly insert: number;
  readonly insert_failed: number;
  readonly drop: number;
  readonly early_drop: number;
  readonly error: number;
  readonly search_restart: number;
  readonly clash_resolve: number;
  readonly chain_toolong: number;
}

export interface ConntrackTable {
  readonly entries: number;
  readonly limit: number;
}

const NETLINK_NETFILTER = 12;
const RECEIVE_BYTES = 64 * 1024;
const HEADER_BYTES = 16 + 4; // struct nlmsghdr, struct nfgenmsg
const NLM_F_REQUEST = 0x1;
const NLM_F_DUMP = 0x300;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
// include/uapi/linux/netfilter/nfnetlink_conntrack.h
const GET_STATS_CPU = (1 << 8) | 4;

/** enum ctattr_stats_cpu; attributes that a kernel does not know stay 0. */
const ATTRIBUTES: Readonly<Record<number, keyof ConntrackStats>> = {
  2: "found",
  4: "invalid",
  8: "insert",
  9: "insert_failed",
  10: "drop",
  11: "early_drop",
  12: "error",
  13: "search_restart",
  14: "clash_resolve",
  15: "chain_toolong",
};

export const CONNTRACK_COUNTERS: readonly (keyof ConntrackStats)[] = Object.values(ATTRIBUTES);

const PROC_TABLE = "/proc/sys/net/netfilter/nf_conntrack_";

/** Entries of the daemon's namespace and the limit; undefined while conntrack is not loaded. */
export function readConntrackTable(): ConntrackTable | undefined {
  if (!existsSync(`${PROC_TABLE}max`)) return undefined;
  return { entries: readNumber(`${PROC_TABLE}count`), limit: readNumber(`${PROC_TABLE}max`) };
}

/**
 * Asks ctnetlink; undefined while conntrack is not loaded. A request to a module that is absent
 * would make the kernel load it (nfnetlink_rcv_msg), which an observer must not do.
 */
export function readConntrackStats(): ConntrackStats | undefined {
  if (!existsSync(`${PROC_TABLE}max`)) return undefined;
  if (existsSync("/proc/modules") && !existsSync("/sys/module/nf_conntrack_netlink")) {
    return readProcStats();
  }
  const socket = openSocket(Posix.AF_NETLINK, Posix.SOCK_RAW, NETLINK_NETFILTER);
  try {
    sendTo(socket, statsRequest(), netlinkAddress());
    return sumReplies(socket);
  } finally {
    closeFd(socket);
  }
}

/** /proc/net/stat/nf_conntrack: a line of names over one line of hexadecimal numbers per CPU. */
export function parseProcStats(text: string): ConntrackStats {
  const [names = [], ...cpus] = text
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  const total = zeroes();
  for (const counter of CONNTRACK_COUNTERS) {
    const column = names.indexOf(counter);
    for (const cpu of cpus) total[counter] += Number.parseInt(cpu[column] ?? "0", 16);
  }
  return total;
}

function readProcStats(): ConntrackStats | undefined {
  const path = "/proc/self/net/stat/nf_conntrack";
  return existsSync(path) ? parseProcStats(readFileSync(path, "utf8")) : undefined;
}

function statsRequest(): Uint8Array {
  const request = Buffer.alloc(HEADER_BYTES);
  request.writeUInt32LE(HEADER_BYTES, 0);
  request.writeUInt16LE(GET_STATS_CPU, 4);
  request.writeUInt16LE(NLM_F_REQUEST | NLM_F_DUMP, 6);
  return request;
}

/** A dump is answered within the request, so that nothing has to be waited for. */
function sumReplies(socket: number): ConntrackStats {
  const total = zeroes();
  const buffer = Buffer.alloc(RECEIVE_BYTES);
  for (;;) {
    const length = receive(socket, buffer);
    if (length === undefined) throw replyError(0);
    const reply = buffer.subarray(0, length);
    let at = 0;
    while (at + HEADER_BYTES <= reply.length) {
      const messageBytes = reply.readUInt32LE(at);
      const type = reply.readUInt16LE(at + 4);
      if (type === NLMSG_DONE) return total;
      if (type === NLMSG_ERROR) throw replyError(reply.readInt32LE(at + 16));
      if (messageBytes < HEADER_BYTES || at + messageBytes > reply.length) throw replyError(0);
      addAttributes(total, reply.subarray(at + HEADER_BYTES, at + messageBytes));
      at += (messageBytes + 3) & ~3;
    }
  }
}

function replyError(errno: number): Error {
  const reason = errno === 0 ? "a truncated reply" : `error ${-errno}`;
  return new Error(`read conntrack statistics: ctnetlink answered with ${reason}`);
}

/** struct nlattr { u16 length, type } and here a big-endian u32. */
function addAttributes(total: Record<keyof ConntrackStats, number>, attributes: Buffer): void {
  let at = 0;
  while (at + 8 <= attributes.length) {
    const length = attributes.readUInt16LE(at);
    const counter = ATTRIBUTES[attributes.readUInt16LE(at + 2) & 0x3fff];
    if (length < 4) return;
    if (counter !== undefined) total[counter] += attributes.readUInt32BE(at + 4);
    at += (length + 3) & ~3;
  }
}

function zeroes(): Record<keyof ConntrackStats, number> {
  return Object.fromEntries(CONNTRACK_COUNTERS.map((name) => [name, 0])) as Record<
    keyof ConntrackStats,
    number
  >;
}

function readNumber(path: string): number {
  return Number(readFileSync(path, "utf8").trim());
}
