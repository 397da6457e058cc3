import { printable } from "../util/text.ts";
import { NS_PER_MS } from "../util/units.ts";
import type { Reference } from "./finding.ts";
import type { Endpoint, NetnsName, Owner, Tuple } from "./observed.ts";

/** `10.0.0.1:443`, `[2001:db8::1]:443` */
export function endpointText({ address, port }: Endpoint): string {
  return `${isIpv6(address) ? `[${address}]` : address}:${port}`;
}

export function isIpv6(address: string): boolean {
  return address.includes(":");
}

export function tupleText({ src, dst }: Tuple): string {
  return `${endpointText(src)} -> ${endpointText(dst)}`;
}

/** Identity of a network namespace: its cookie; its number only where it has none. */
export function netnsKey(netns: NetnsName | undefined): string {
  return netns?.cookie ?? `inum ${netns?.inum ?? "?"}`;
}

/**
 * The same for the key of a finding. Before 5.15 not each has a cookie, and the kernel gives the number
 * to another one when it is gone: most of these differ by their names. What belongs to a flow is
 * joined without them, for an event may have come before its namespace's name.
 */
export function findingNetnsKey(netns: NetnsName | undefined): string {
  return netns?.cookie ?? `${netnsKey(netns)} ${netns?.name ?? ""}`;
}

/** Identity of a conntrack table's part: entries of two zones never meet. */
export function placeKey({ netns, zone }: { netns?: NetnsName; zone?: number }): string {
  return `${netnsKey(netns)} zone ${zone ?? 0}`;
}

/** `crawler (pid 812)`, or what stands for it. */
export function processText({ process }: Owner, unknown: string): string {
  if (process?.comm === undefined) return unknown;
  return `${printable(process.comm)} (pid ${process.pid})`;
}

/** Only what is known of who it was. */
export function ownerOf({ process, cgroup, netns }: Owner): Owner {
  return {
    ...(process !== undefined && { process }),
    ...(cgroup !== undefined && { cgroup }),
    ...(netns !== undefined && { netns }),
  };
}

/** `once`, `7 times` */
export function times(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}

/** `1 packet`, `7 packets` */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Whole milliseconds, in seconds. */
export function secondsOf(ns: number): number {
  return Math.round(ns / NS_PER_MS) / 1000;
}

export const IP_7: Reference = {
  title: "ip(7): ip_local_port_range, IP_BIND_ADDRESS_NO_PORT",
  url: "https://man7.org/linux/man-pages/man7/ip.7.html",
};

export const IP_SYSCTL: Reference = {
  title: "Linux kernel documentation: IP sysctls",
  url: "https://docs.kernel.org/networking/ip-sysctl.html",
};

export const CONNTRACK_SYSCTL: Reference = {
  title: "Linux kernel documentation: conntrack sysctls",
  url: "https://docs.kernel.org/networking/nf_conntrack-sysctl.html",
};

export const NFT_8: Reference = {
  title: "nft(8): NAT statements, notrack statement",
  url: "https://www.netfilter.org/projects/nftables/manpage.html",
};

export const IPTABLES_EXTENSIONS: Reference = {
  title: "iptables-extensions(8): MASQUERADE, SNAT, CT, owner",
  url: "https://man7.org/linux/man-pages/man8/iptables-extensions.8.html",
};
