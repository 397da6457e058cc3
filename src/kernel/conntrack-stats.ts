import { existsSync, readFileSync } from "node:fs";
import { dumpAtOnce, withNetlink } from "./netlink.ts";

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
const NFGENMSG_BYTES = 4;
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

/** There is one also where it is built into the kernel, since it has parameters (hashsize). */
const MODULE = "/sys/module/nf_conntrack";

/**
 * Entries of the thread's namespace and the limit; undefined while conntrack is not loaded. To see that
 * a file of /proc/sys/net is not there takes 45 us in each namespace, to see that no module is 2 us.
 */
export function readConntrackTable(): ConntrackTable | undefined {
  if (existsSync("/sys/module") && !existsSync(MODULE)) return undefined;
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
  const total = zeroes();
  const request = {
    operation: "read conntrack statistics",
    type: GET_STATS_CPU,
    payload: new Uint8Array(NFGENMSG_BYTES),
  };
  try {
    withNetlink(NETLINK_NETFILTER, (socket) => {
      dumpAtOnce(socket, request, (datagram, start, end) => {
        addAttributes(total, datagram.subarray(start + NFGENMSG_BYTES, end));
      });
    });
    return total;
  } catch (error) {
    // Without CAP_NET_ADMIN (nfnetlink_rcv); everybody may read the file, where there is one.
    const stats = readProcStats();
    if (stats === undefined) throw error;
    return stats;
  }
}

/** ct_cpu_seq_show() has other names for some, 5.10 to 6.12. */
const PROC_NAMES: Readonly<Partial<Record<keyof ConntrackStats, string>>> = {
  clash_resolve: "clashres",
  chain_toolong: "chaintoolong",
  error: "icmp_error",
};

/** /proc/net/stat/nf_conntrack: a line of names over one line of hexadecimal numbers per CPU. */
export function parseProcStats(text: string): ConntrackStats {
  const [names = [], ...cpus] = text
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  const total = zeroes();
  for (const counter of CONNTRACK_COUNTERS) {
    const column = names.indexOf(PROC_NAMES[counter] ?? counter);
    for (const cpu of cpus) total[counter] += Number.parseInt(cpu[column] ?? "0", 16);
  }
  return total;
}

function readProcStats(): ConntrackStats | undefined {
  const path = "/proc/self/net/stat/nf_conntrack";
  return existsSync(path) ? parseProcStats(readFileSync(path, "utf8")) : undefined;
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
