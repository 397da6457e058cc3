import { readFileSync } from "node:fs";
import { LruMap } from "../util/lru.ts";

const SYSCTL = "/proc/sys/net/ipv4/ip_local_";
const PORTS = 65_536;

/** The local ports that a network namespace chooses from: for TCP, UDP, IPv4 and IPv6 alike. */
export class PortRange {
  readonly low: number;
  readonly high: number;
  /** Ports of the range less the reserved ones. */
  readonly available: number;
  /** Text of ip_local_reserved_ports, such as "8080,9000-9010". */
  readonly reserved: string;
  readonly #usable = new Uint8Array(PORTS);

  constructor(low: number, high: number, reserved: string) {
    this.low = low;
    this.high = high;
    this.reserved = reserved.trim();
    this.#usable.fill(1, low, high + 1);
    for (const part of this.reserved.split(",")) {
      const [first = "", last = first] = part.split("-");
      if (first !== "") this.#usable.fill(0, Number(first), Number(last) + 1);
    }
    let available = 0;
    for (let port = low; port <= high; port++) available += this.#usable[port] ?? 0;
    this.available = available;
  }

  /** What a socket's own range leaves of it: inet_sk_get_local_port_range(), 6.3. */
  within({ low, high }: { readonly low: number; readonly high: number }): PortRange {
    const isInside = (port: number) => port >= this.low && port <= this.high;
    return new PortRange(
      isInside(low) ? low : this.low,
      isInside(high) ? high : this.high,
      this.reserved,
    );
  }

  /** Whether the port is of the range and not reserved. */
  has(port: number): boolean {
    return this.#usable[port] === 1;
  }
}

/** Most namespaces have the same range: by the text of both files. */
const known = new LruMap<string, PortRange>(16);

/** Of the network namespace that the thread is in. */
export function readPortRange(): PortRange {
  const [ports, reserved] = [read("port_range"), read("reserved_ports")];
  const key = `${ports} ${reserved}`;
  const same = known.get(key);
  if (same !== undefined) return same;
  const [low = 0, high = 0] = ports.trim().split(/\s+/).map(Number);
  const range = new PortRange(low, high, reserved);
  known.set(key, range);
  return range;
}

function read(name: string): string {
  return readFileSync(`${SYSCTL}${name}`, "utf8");
}
