import { execFileSync } from "node:child_process";
import type { ParsedEvent } from "./events.ts";
import { FAULTS } from "./netns.ts";

/** What a fault's script tells. */
export interface Fault {
  readonly fault: string;
  readonly pid: number;
  readonly results: readonly string[];
  readonly moved: Readonly<Record<string, number>>;
  /** Of the two containers, or twins. */
  readonly senders?: readonly number[];
  readonly inums?: readonly number[];
}

export interface Conntracked extends ParsedEvent {
  readonly protocol: string;
  readonly original: Tuple;
  readonly reply: Tuple;
  readonly winner?: { readonly original: Tuple; readonly reply: Tuple; readonly owner?: Owner };
  readonly owner?: Owner;
  readonly refusals?: number;
  readonly zone: number;
}

type Endpoint = { readonly address: string; readonly port: number };
type Tuple = { readonly src: Endpoint; readonly dst: Endpoint };
type Owner = { readonly process: { pid: number; comm: string }; readonly netns: { inum: number } };

/** Source ports of the flows that lose, in order; of ICMP the identifiers. */
export const LOSERS: Readonly<Record<string, readonly [number, number]>> = {
  snat_udp: [6002, 6003],
  snat_udp6: [6002, 6003],
  snat_tcp: [6105, 6105],
  snat_icmp: [72, 73],
};

/** For ICMP the reply's "destination port" is its type and code: 0 and 0. */
export const SNAT_PORTS: Readonly<Record<string, readonly number[]>> = {
  snat_udp: [5000],
  snat_udp6: [5000],
  snat_tcp: [5000, 5001, 5002, 5003],
  snat_icmp: [0],
};

/** Source ports of the flows that had the tuple first. */
export const WINNERS: Readonly<Record<string, readonly number[]>> = {
  snat_udp: [6001],
  snat_udp6: [6001],
  snat_tcp: [6101, 6102, 6103, 6104],
  snat_icmp: [71],
};

/** The destination port by which an event is told to be of a fault; -1: it is not. */
export function portOf(name: string, { original, protocol }: Conntracked): number {
  const { port } = original.dst;
  const isIpv6 = original.dst.address.includes(":");
  const own: Readonly<Record<string, boolean>> = {
    snat_udp: port === 5353 && !isIpv6,
    snat_udp6: port === 5353 && isIpv6,
    snat_tcp: port === 5354 && protocol === "tcp",
    snat_icmp: protocol === "icmp",
    firewall: port === 9999,
    merged: port === 7101,
    kept_beside: port === 7301,
    retries: port === 5356 || port === 5357,
    dying: port === 7201,
    chain_too_long: port === 7007,
    table_full: port >= 7500 && port < 7600,
    containers: port === 5355,
    twins: port === 5358,
    zones: port === 5359 || port === 5360,
  };
  return own[name] ? port : -1;
}

/** Runs the script once, with the faults of these names. */
export function makeFaults(names: readonly string[]): Map<string, Fault> {
  const text = execFileSync("python3", [`${FAULTS}conntrack_faults.py`, ...names], {
    encoding: "utf8",
  });
  const faults = text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Fault);
  return new Map(faults.map((fault) => [fault.fault, fault]));
}

export function isSame(left: Tuple, right: Tuple): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}

/** For a failed count: how many events of each kind there are. */
export function summary(events: readonly Conntracked[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { protocol, cause, verdict, original } of events) {
    const key = `${protocol} ${original.dst.port} ${verdict} ${cause}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}
