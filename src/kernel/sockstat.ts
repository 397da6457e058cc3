import { closeSync, openSync, readSync } from "node:fs";

/** How many sockets of a kind a network namespace has: enough to know where none is. */
export interface SocketCounts {
  /** That processes have, of whatever kind. */
  readonly used: number;
  /** In the kernel's tables, of both families. */
  readonly tcp: number;
  /** In the kernel's tables. */
  readonly udp: Readonly<Record<"ipv4" | "ipv6", number>>;
  /** Of TCP, both families. */
  readonly timeWait: number;
  /**
   * Those of processes that no protocol counts: not bound yet or closed, and TCP sockets that are
   * bound and nothing else. Sockets of the kernel, which a protocol counts but `used` does not, make
   * it less.
   */
  readonly uncounted: number;
}

/** Of the network namespace that the thread is in. */
export function readSocketCounts(): SocketCounts {
  return parseSocketCounts(read("sockstat"), read("protocols"));
}

/**
 * /proc/net/sockstat has lines such as "TCP: inuse 3 orphan 0 tw 2 alloc 9 mem 1", of which only
 * "inuse" and "tw" are the namespace's own (sockstat_seq_show(), net/ipv4/proc.c); the third column of
 * /proc/net/protocols has "inuse" of each protocol (proto_seq_printf(), net/core/sock.c).
 */
export function parseSocketCounts(sockstat: string, protocols: string): SocketCounts {
  const counts = new Map<string, number>();
  let counted = 0;
  for (const line of protocols.split("\n").slice(1)) {
    const [, name, count] = /^(\S+) +\d+ +(-?\d+) /.exec(line) ?? [];
    if (name === undefined) continue;
    counts.set(name, Number(count));
    counted += Number(count);
  }
  const used = Number(/^sockets: used (\d+)/.exec(sockstat)?.[1] ?? 0);
  return {
    used,
    tcp: (counts.get("TCP") ?? 0) + (counts.get("TCPv6") ?? 0),
    udp: { ipv4: counts.get("UDP") ?? 0, ipv6: counts.get("UDPv6") ?? 0 },
    timeWait: Number(/^TCP:.* tw (\d+)/m.exec(sockstat)?.[1] ?? 0),
    uncounted: used - counted,
  };
}

/**
 * What TCP has done in the thread's network namespace: active and passive opens, segments in and out,
 * and so on (RFC 4022). Two equal texts: nothing in between.
 */
export function readTcpActivity(): string {
  return parseTcpActivity(read("snmp"));
}

/** Pairs of lines, "Tcp: name ..." over "Tcp: value ...". */
export function parseTcpActivity(snmp: string): string {
  return /^Tcp: [-\d].*$/m.exec(snmp)?.[0] ?? "";
}

/** Longer than any of them, which the kernel gives in one read. */
const buffer = Buffer.alloc(16 * 1024);

function read(name: string): string {
  const fd = openSync(`/proc/thread-self/net/${name}`, "r");
  try {
    let length = 0;
    for (let bytes = -1; bytes !== 0 && length < buffer.length; length += bytes) {
      bytes = readSync(fd, buffer, length, buffer.length - length, null);
    }
    return buffer.toString("latin1", 0, length);
  } finally {
    closeSync(fd);
  }
}
