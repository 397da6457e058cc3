import { lookup } from "node:dns/promises";
import { readFileSync } from "node:fs";
import ipaddr from "ipaddr.js";
import {
  bindSocket,
  closeFd,
  inetAddress,
  openSocket,
  Posix,
  setSocketOption,
  socketName,
} from "libbpf-ts";
import { errnoOf } from "../../util/errno.ts";

/**
 * Sockets bound to a host, none of them listening yet: one, but for `localhost` one for each of its
 * addresses that this machine has, on the same port.
 */
export async function bindHost(host: string, port: number): Promise<number[]> {
  const found = await lookup(host, { all: true });
  const addresses = host.toLowerCase() === "localhost" ? found : found.slice(0, 1);
  const fds: number[] = [];
  let failure: unknown;
  for (const { address } of addresses) {
    try {
      const [first] = fds;
      fds.push(bindAddress(address, first === undefined ? port : portOf(first)));
    } catch (error) {
      failure ??= error;
      // ::1 where IPv6 is turned off.
      if (errnoOf(error) === "EADDRNOTAVAIL" || errnoOf(error) === "EAFNOSUPPORT") continue;
      for (const fd of fds) closeFd(fd);
      throw error;
    }
  }
  if (fds.length === 0) throw failure;
  return fds;
}

function bindAddress(text: string, port: number): number {
  const [address = "", zone] = text.split("%");
  const bytes = Uint8Array.from(ipaddr.parse(address).toByteArray());
  const isV4 = bytes.length === 4;
  const fd = openSocket(isV4 ? Posix.AF_INET : Posix.AF_INET6, Posix.SOCK_STREAM);
  try {
    // Connections of the daemon before, in TIME_WAIT, are no reason to refuse.
    setSocketOption(fd, Posix.SOL_SOCKET, Posix.SO_REUSEADDR, 1);
    // [::] is IPv4 too, whatever net.ipv6.bindv6only says.
    if (!isV4) setSocketOption(fd, Posix.IPPROTO_IPV6, Posix.IPV6_V6ONLY, 0);
    bindSocket(fd, inetAddress(bytes, port, zone === undefined ? 0 : interfaceNumber(zone)));
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

/** Where sockaddr_in and sockaddr_in6 both have it. */
function portOf(fd: number): number {
  return Buffer.from(socketName(fd)).readUInt16BE(2);
}

function interfaceNumber(zone: string): number {
  if (/^\d+$/.test(zone)) return Number(zone);
  return Number(readFileSync(`/sys/class/net/${zone}/ifindex`, "utf8"));
}
