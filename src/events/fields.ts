import { constants } from "node:os";
import ipaddr from "ipaddr.js";
import { isIpv4Mapped } from "../util/address.ts";
import type { Endpoint, FlowOwner, Process, Tuple } from "./events.gen.ts";
import type * as json from "./fields.schema.ts";

const WILDCARD = /^(0\.0\.0\.0|::)$/;

/** Text of a 16-byte address: dotted for ::ffff:a.b.c.d, else RFC 5952. */
export function formatAddress(bytes: Uint8Array): string {
  if (isIpv4Mapped(bytes)) return bytes.subarray(12).join(".");
  return ipaddr.fromByteArray([...bytes]).toString();
}

export function formatEndpoint({ address, port }: Endpoint): json.Endpoint {
  return { address: formatAddress(address), port };
}

/** The local side of a socket: without what the kernel had not chosen yet. */
export function formatLocal(local: Endpoint): json.LocalEndpoint | undefined {
  const address = formatAddress(local.address);
  if (local.port !== 0) return { address, port: local.port };
  return WILDCARD.test(address) ? undefined : { address };
}

export function formatTuple({ src, dst }: Tuple): json.Tuple {
  return { src: formatEndpoint(src), dst: formatEndpoint(dst) };
}

/** `ok`, the errno's name, or `unknown` for a negative number. */
export function resultName(error: number): string {
  if (error === 0) return "ok";
  return error < 0 ? "unknown" : (ERRNO_NAMES.get(error) ?? `errno_${error}`);
}

/** `tcp`, `udp` ...; a number where there is no usual name. */
export function protocolName(protocol: number): string {
  return PROTOCOL_NAMES[protocol] ?? String(protocol);
}

/** Absent when nobody is known; without pid and comm when only the socket's user is. */
export function formatProcess({ pid, uid, comm }: Process): json.ProcessName {
  return pid === 0 ? { uid } : { pid, comm, uid };
}

/** Before 5.15 a namespace has no cookie until it is asked for one: 0 is none. */
export function formatNetns(cookie: bigint, inum: number): { cookie?: string; inum: number } {
  return cookie === 0n ? { inum } : { cookie: String(cookie), inum };
}

/** Who sent a flow's first packet. */
export function formatFlowOwner(owner: FlowOwner): json.Owner {
  return {
    process: formatProcess(owner.process),
    cgroup: { id: String(owner.cgroupId) },
    netns: formatNetns(owner.netnsCookie, owner.netnsInum),
  };
}

/** Names of the bits that are set; `names` by bit value. */
export function bitNames<N extends Names>(bits: number, names: N): NameIn<N>[] {
  const known = Object.entries(names) as [string, NameIn<N>][];
  return known.flatMap(([bit, name]) => (bits & Number(bit) ? [name] : []));
}

/** A socket without a cookie had none: before 5.12 the kernel gives it one only when asked. */
export function formatCookie(cookie: bigint): { socket_cookie?: string } {
  return cookie === 0n ? {} : { socket_cookie: String(cookie) };
}

/** Number of an enumerator. */
export function enumValue<N extends Names>(names: N, name: NameIn<N>): number {
  const found = Object.entries(names).find(([, known]) => known === name);
  if (found === undefined) throw new RangeError(`no enumerator is called ${name}`);
  return Number(found[0]);
}

export type Names = Readonly<Record<number, string>>;
export type NameIn<N extends Names> = N[keyof N & number];

/**
 * Name of an enumerator; its number, should the kernel side be newer, which is none of the names
 * that the type and the schema have.
 */
export function enumName<N extends Names>(names: N, value: number): NameIn<N> {
  return (names[value] ?? String(value)) as NameIn<N>;
}

/** Two names share a number in places; the one that connect(2) uses comes first. */
const ERRNO_NAMES = new Map(
  Object.entries(constants.errno)
    .reverse()
    .map(([name, number]) => [number, name]),
).set(constants.errno.EAGAIN, "EAGAIN");

// https://www.iana.org/assignments/protocol-numbers
const PROTOCOL_NAMES: Readonly<Record<number, string>> = {
  1: "icmp",
  6: "tcp",
  17: "udp",
  33: "dccp",
  47: "gre",
  58: "icmpv6",
  132: "sctp",
  136: "udplite",
};

// include/net/tcp_states.h
export const TCP_STATE_NAMES: Readonly<Record<number, string>> = {
  1: "established",
  2: "syn_sent",
  3: "syn_recv",
  4: "fin_wait1",
  5: "fin_wait2",
  6: "time_wait",
  7: "close",
  8: "close_wait",
  9: "last_ack",
  10: "listen",
  11: "closing",
  12: "new_syn_recv",
  13: "bound_inactive",
};
