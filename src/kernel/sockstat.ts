import { readFileSync } from "node:fs";

/** How many sockets of a kind the kernel has in its tables: enough to know where none is. */
export interface SocketCounts {
  readonly tcp: Readonly<Record<"ipv4" | "ipv6", number>>;
  readonly udp: Readonly<Record<"ipv4" | "ipv6", number>>;
  /** Of TCP, both families. */
  readonly timeWait: number;
}

const FILES = ["sockstat", "sockstat6"];

/** Of the network namespace that the thread is in. Sockets that are bound only are not counted. */
export function readSocketCounts(): SocketCounts {
  return parseSocketCounts(FILES.map(read).join("\n"));
}

/** Lines such as "TCP: inuse 3 orphan 0 tw 2 alloc 9 mem 1" and "TCP6: inuse 1". */
export function parseSocketCounts(text: string): SocketCounts {
  const count = (protocol: string, what: string) =>
    Number(new RegExp(`^${protocol}:.* ${what} (\\d+)`, "m").exec(text)?.[1] ?? 0);
  return {
    tcp: { ipv4: count("TCP", "inuse"), ipv6: count("TCP6", "inuse") },
    udp: { ipv4: count("UDP", "inuse"), ipv6: count("UDP6", "inuse") },
    timeWait: count("TCP", "tw"),
  };
}

/** The second is not there where the kernel has no IPv6. */
function read(name: string): string {
  try {
    return readFileSync(`/proc/thread-self/net/${name}`, "utf8");
  } catch {
    return "";
  }
}
