import type { Word, Words } from "../util/shell.ts";
import { isIpv6 } from "./format.ts";

/** Whose headers begin with two ports: all that iptables' --dport and nft's dport know. */
const HAVE_PORTS = ["tcp", "udp", "udplite", "dccp", "sctp"];

/** What remedies add is all in one table, which can be deleted alone. */
export const TABLE = "tuplewatch";

export function hasPorts(protocol: string): boolean {
  return HAVE_PORTS.includes(protocol);
}

export interface Destination {
  readonly protocol: string;
  readonly address?: string;
  readonly port: number;
}

/** Flows to a destination get another translated source. */
export interface SourceNat extends Destination {
  readonly source: string;
  readonly ports?: string;
  readonly random?: true;
}

/** A translation is made once, by the first chain that has one: this one comes before the usual 100. */
export function nftSourceNat({ source, ports, random, ...to }: SourceNat): Words {
  const target = ports === undefined ? source : `${bracketed(source)}:${ports}`;
  const flags = random === true ? " fully-random" : "";
  const family = familyOf(source);
  return nftTable(family, [
    {
      name: "postrouting",
      hook: "type nat hook postrouting priority 99",
      rule: `${nftDestination(family, to)} snat to ${target}${flags}`,
    },
  ]);
}

export function iptablesSourceNat({ source, ports, random, ...to }: SourceNat): Words {
  const target = ports === undefined ? source : `${bracketed(source)}:${ports}`;
  return [
    isIpv6(source) ? "ip6tables" : "iptables",
    ...["-w", "-t", "nat", "-I", "POSTROUTING"],
    ...iptablesDestination(to),
    ...["-j", "SNAT", "--to-source", target],
    ...(random === true ? ["--random-fully"] : []),
  ];
}

export interface Chain {
  readonly name: string;
  readonly hook: string;
  readonly rule: string;
}

/** Tables and chains that are there already are left as they are. */
export function nftTable(family: "ip" | "ip6", chains: readonly Chain[]): Words {
  const table = `${family} ${TABLE}`;
  const statements = chains.flatMap(({ name, hook, rule }) => [
    `add chain ${table} ${name} { ${hook}; }`,
    `add rule ${table} ${name} ${rule}`,
  ]);
  return ["nft", [`add table ${table}`, ...statements].join("; ")];
}

export function familyOf(address: string): "ip" | "ip6" {
  return isIpv6(address) ? "ip6" : "ip";
}

function nftDestination(family: "ip" | "ip6", { protocol, address, port }: Destination): string {
  const match = hasPorts(protocol) ? `${protocol} dport ${port}` : `meta l4proto ${protocol}`;
  return address === undefined ? match : `${family} daddr ${address} ${match}`;
}

function iptablesDestination({ protocol, address, port }: Destination): Word[] {
  return [
    ...["-p", protocol],
    ...(address === undefined ? [] : ["-d", address]),
    ...(hasPorts(protocol) ? ["--dport", String(port)] : []),
  ];
}

/** An IPv6 address before a port. */
function bracketed(address: string): string {
  return isIpv6(address) ? `[${address}]` : address;
}
