import ipaddr from "ipaddr.js";
import { formatAddress } from "../events/fields.ts";
import { isIpv4Mapped } from "../util/address.ts";
import { askOnce, dump, openNetlink } from "./netlink.ts";

export type SocketProtocol = "tcp" | "udp";

/** Which sockets to list. */
export interface SocketQuery {
  readonly protocol: SocketProtocol;
  readonly family: "ipv4" | "ipv6";
  /** Bits by number of the TCP state; UDP sockets are "established" if connected, else "close". */
  readonly states: number;
}

export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

/** One socket as the kernel lists it. */
export interface ListedSocket {
  /** Number of enum tcp_state: see TCP_STATE_NAMES. */
  readonly state: number;
  readonly local: SocketAddress;
  /** Port 0 if it has none. */
  readonly peer: SocketAddress;
  readonly uid: number;
  /** Of the file that a process holds; 0 if none does (TIME_WAIT, orphans, half-open ones). */
  readonly inode: number;
  /** The kernel's identity of the socket. */
  readonly cookie: bigint;
}

export const LISTEN = 1 << 10;
/**
 * TCP sockets that are bound and nothing else, from 6.8 (91051f003948 "tcp: Dump bound-only sockets
 * in inet_diag"); older kernels do not list them.
 */
export const BOUND_ONLY = 1 << 13;
/** Every state but LISTEN. */
export const NOT_LISTEN = ((1 << 14) - 2) & ~LISTEN;

const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const FAMILIES = { ipv4: 2, ipv6: 10 } as const;
const PROTOCOLS = { tcp: 6, udp: 17 } as const;
const REQUEST_BYTES = 56; // struct inet_diag_req_v2
const SOCKET_BYTES = 72; // struct inet_diag_msg
const INET_BYTES = 4;
const INET6_BYTES = 16;

/** A socket of the thread's network namespace, for `listSockets`. */
export function openSockDiag(): number {
  return openNetlink(NETLINK_SOCK_DIAG);
}

/**
 * Calls `visit` for each socket of the namespace in which `diag` was opened. The event loop goes on
 * after some 200 sockets each. What the visitor is given is valid during the call only.
 *
 * @throws InterruptedDumpError if the list has to be asked for again, an Error that names the
 *   errno if the kernel refuses.
 */
export async function listSockets(
  diag: number,
  query: SocketQuery,
  visit: (socket: DiagRecord) => void,
): Promise<void> {
  const payload = Buffer.alloc(REQUEST_BYTES);
  payload[0] = FAMILIES[query.family];
  payload[1] = PROTOCOLS[query.protocol];
  payload.writeUInt32LE(query.states, 4);
  const operation = `list ${query.protocol} sockets (${query.family})`;
  const record = new DiagRecord();
  await dump(diag, { operation, type: SOCK_DIAG_BY_FAMILY, payload }, (body) => {
    if (body.length < SOCKET_BYTES) throw new Error(`${operation}: a message is too short`);
    record.at(body);
    visit(record);
  });
}

/**
 * The user that a TCP socket belongs to; undefined if there is none, or no process holds it any more.
 * @throws an Error that names the errno if the kernel refuses.
 */
export function findTcpOwner(
  diag: number,
  local: SocketAddress,
  peer: SocketAddress,
): number | undefined {
  const [source, target] = [local, peer].map(({ address }) => ipaddr.parse(address).toByteArray());
  if (source === undefined || target === undefined) return undefined;
  const payload = Buffer.alloc(REQUEST_BYTES);
  payload[0] = source.length === INET_BYTES ? FAMILIES.ipv4 : FAMILIES.ipv6;
  payload[1] = PROTOCOLS.tcp;
  payload.writeUInt16BE(local.port, 8);
  payload.writeUInt16BE(peer.port, 10);
  payload.set(source, 12);
  payload.set(target, 28);
  payload.fill(0xff, 48); // INET_DIAG_NOCOOKIE
  const operation = "find the owner of a tcp socket";
  let owner: number | undefined;
  askOnce(diag, { operation, type: SOCK_DIAG_BY_FAMILY, payload }, (body) => {
    const record = new DiagRecord();
    record.at(body);
    const found = record.decode();
    // Without such a connection the kernel gives whoever listens on the port (__inet_lookup).
    if (found.peer.port === peer.port && found.inode !== 0) owner = found.uid;
  });
  return owner;
}

/** A window on struct inet_diag_msg, moved from message to message: most are only counted. */
export class DiagRecord {
  #bytes: Buffer = Buffer.alloc(SOCKET_BYTES);

  at(bytes: Buffer): void {
    this.#bytes = bytes;
  }

  get state(): number {
    return this.#bytes.readUInt8(1);
  }

  get localPort(): number {
    return this.#bytes.readUInt16BE(4);
  }

  get peerPort(): number {
    return this.#bytes.readUInt16BE(6);
  }

  get inode(): number {
    return this.#bytes.readUInt32LE(68);
  }

  /** The same for the same peer, be its IPv4 address mapped or not. */
  peerKey(): string {
    return `${this.peerPort} ${this.#address(24).toString("latin1")}`;
  }

  peer(): SocketAddress {
    return { address: text(this.#address(24)), port: this.peerPort };
  }

  decode(): ListedSocket {
    return {
      state: this.state,
      local: { address: text(this.#address(8)), port: this.localPort },
      peer: this.peer(),
      uid: this.#bytes.readUInt32LE(64),
      inode: this.inode,
      cookie: this.#bytes.readBigUInt64LE(44),
    };
  }

  /** 4 bytes for IPv4, also for a mapped address, else 16. */
  #address(offset: number): Buffer {
    const bytes = this.#bytes.subarray(offset, offset + INET6_BYTES);
    if (this.#bytes[0] === FAMILIES.ipv4) return bytes.subarray(0, INET_BYTES);
    return isIpv4Mapped(bytes) ? bytes.subarray(INET6_BYTES - INET_BYTES) : bytes;
  }
}

function text(address: Buffer): string {
  return address.length === INET_BYTES ? address.join(".") : formatAddress(address);
}
