import { isIP, type Socket } from "node:net";
import ipaddr from "ipaddr.js";
import { isLoopbackAddress } from "../access/hosts.ts";
import type { PeerUids } from "./peer-uids.ts";

/**
 * For whom a place is taken. Quotas are by owner first: whoever can choose among many addresses, as
 * every local user can in 127.0.0.0/8 and everybody in his IPv6 /64, is one owner all the same.
 */
export interface Client {
  /** A local user where it can be told, else an IPv4 address or the /64 of an IPv6 one. */
  readonly owner: string;
  /** One address of that owner. */
  readonly address: string;
}

const PREFIX_BITS = 64;

export function clientOf(socket: Socket, uids: PeerUids): Client {
  const { remoteAddress } = socket;
  if (remoteAddress === undefined) return local(uids.ofUnixSocket(socket), "unix");
  const address = plain(remoteAddress);
  if (isLoopbackAddress(address)) return local(uids.ofLoopback(socket), address);
  const owner = isIP(address) === 6 ? network(address) : address;
  return { owner, address: owner };
}

function local(uid: number | undefined, address: string): Client {
  return { owner: uid === undefined ? `local ${address}` : `uid ${uid}`, address };
}

/** 127.0.0.1 for ::ffff:127.0.0.1, as a socket on [::] has it; without the zone of fe80::1%eth0. */
function plain(address: string): string {
  const [text = ""] = address.split("%");
  return ipaddr.isValid(text) ? ipaddr.process(text).toString() : text;
}

function network(address: string): string {
  const first = ipaddr.IPv6.networkAddressFromCIDR(`${address}/${PREFIX_BITS}`);
  return `${first.toString()}/${PREFIX_BITS}`;
}
