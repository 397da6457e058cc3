import { endpointText, findingNetnsKey } from "./format.ts";
import {
  type ConnectObserved,
  type Endpoint,
  isType,
  type NetnsName,
  type ObservedEvent,
  type Owner,
  type PortBindObserved,
} from "./observed.ts";

/** A call found no local port where the kernel was to choose it. */
export interface PortFailure {
  readonly event: ConnectObserved | PortBindObserved;
  readonly protocol: "tcp" | "udp";
  /** As `consequence` counts it. */
  readonly counted: "failed_connects" | "failed_binds" | "failed_sends";
  /** Towards whom a port was wanted, where that matters. */
  readonly peer: Endpoint | undefined;
  /** The socket's own, where it has one. */
  readonly range: { readonly low: number; readonly high: number } | undefined;
  /** The error says that each port was taken, and nothing else. */
  readonly isProof: boolean;
}

const CHOOSES_PORT = ["plain", "bind_address_no_port"];

/**
 * The errors, each of one meaning where the port was for the kernel to choose: EADDRNOTAVAIL of a TCP
 * connect() (__inet_hash_connect()), EAGAIN of a UDP socket's first datagram or connect()
 * (inet_autobind()), EADDRINUSE of bind() to port 0 and of listen() without bind()
 * (inet_csk_get_port(), udp_lib_get_port()).
 */
export function portFailureOf(event: ObservedEvent): PortFailure | undefined {
  if (isType(event, "connect")) return failedConnect(event);
  return isType(event, "port_bind") ? failedBind(event) : undefined;
}

function failedConnect(event: ConnectObserved): PortFailure | undefined {
  const { protocol, result, technique, family, peer, port_range: range } = event;
  if (protocol === "udp") {
    if (result !== "EAGAIN") return undefined;
    const counted = "failed_connects";
    return { event, protocol, counted, peer: undefined, range, isProof: true };
  }
  if (result !== "EADDRNOTAVAIL" || !CHOOSES_PORT.includes(technique)) return undefined;
  return {
    event,
    protocol: "tcp",
    counted: "failed_connects",
    peer,
    range,
    // Also what a machine without an IPv6 source address gets (ip6_dst_lookup_tail, ipv6_get_saddr).
    isProof: family === "ipv4",
  };
}

function failedBind(event: PortBindObserved): PortFailure | undefined {
  const { technique, local, result } = event;
  if (technique === "fixed_port" || (technique === "listen" && local?.port !== undefined)) {
    return undefined;
  }
  if (result !== "EADDRINUSE" && result !== "EAGAIN") return undefined;
  return {
    event,
    protocol: event.protocol === "udp" ? "udp" : "tcp",
    counted: technique === "autobind" ? "failed_sends" : "failed_binds",
    peer: undefined,
    range: undefined,
    isProof: true,
  };
}

/** What failures have in common that lack the same ports. */
export function scopeKey({ event, protocol, peer, range, counted }: PortFailure): string {
  const own = range === undefined ? "" : ` of ${range.low}-${range.high}`;
  const place = `${findingNetnsKey(event.netns)} ${protocol}${own}`;
  if (protocol === "udp") return place;
  if (peer === undefined && counted !== "failed_connects") return `${place} bind`;
  return destinationKey(event.netns, peer, own);
}

/** TCP connections to one destination; without one, to all that have no finding of their own. */
export function destinationKey(
  netns: NetnsName | undefined,
  peer: Endpoint | undefined,
  ownRange = "",
): string {
  const where = peer === undefined ? "*" : endpointText(peer);
  return `${findingNetnsKey(netns)} tcp${ownRange} ${where}`;
}

/** The same program of the same user in the same cgroup. */
export function programKey({ process, cgroup }: Owner): string {
  return JSON.stringify([process?.comm, process?.uid, cgroup?.id ?? cgroup?.path]);
}
