import ipaddr from "ipaddr.js";
import { formatAddress } from "../events/fields.ts";
import { isIpv4Mapped } from "../util/address.ts";
import { askOnce, type DumpRequest, dump, openNetlink } from "./netlink.ts";

export type SocketProtocol = "tcp" | "udp";

/** Which sockets to list: of TCP those of both families at once. */
export type SocketQuery = (
  | { readonly protocol: "tcp" }
  | { readonly protocol: "udp"; readonly family: "ipv4" | "ipv6" }
) & {
  /** Bits by number of the TCP state; UDP sockets are "established" if connected, else "close". */
  readonly states: number;
  /** Local ones, both ends included: the kernel leaves the others out of its answer. */
  readonly ports?: { readonly low: number; readonly high: number };
};

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
 * Every state but LISTEN. From 6.8 on that includes TCP sockets that are bound and nothing else
 * (91051f003948 "tcp: Dump bound-only sockets in inet_diag"); older kernels do not list them.
 */
export const NOT_LISTEN = ((1 << 14) - 2) & ~LISTEN;

const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
/**
 * The older request, of ss(8) before 3.3, to which the kernel lists both families in one walk
 * (inet_diag_dump_compat, net/ipv4/inet_diag.c). It walks 64 Ki buckets of bound and up to 512 Ki of
 * connected sockets, of all namespaces together: some 1.2 ms that need not be spent twice.
 */
const TCPDIAG_GETSOCK = 18;
const FAMILIES = { ipv4: 2, ipv6: 10 } as const;
const PROTOCOLS = { tcp: 6, udp: 17 } as const;
const REQUEST_BYTES = 56; // struct inet_diag_req_v2
const COMPAT_REQUEST_BYTES = 60; // struct inet_diag_req
const AT_COMPAT_STATES = 52;
const SOCKET_BYTES = 72; // struct inet_diag_msg
const INET_BYTES = 4;
const INET6_BYTES = 16;
/** Of the addresses in struct inet_diag_msg. */
const AT_LOCAL = 8;
const AT_PEER = 24;

/** A socket of the thread's network namespace, for `listSockets`. */
export function openSockDiag(): number {
  return openNetlink(NETLINK_SOCK_DIAG);
}

/**
 * Calls `visit` for each socket of the namespace in which `diag` was opened. The event loop goes on
 * after some 300 sockets each. What the visitor is given is valid during the call only.
 *
 * @throws InterruptedDumpError if the list has to be asked for again, an Error that names the
 *   errno if the kernel refuses.
 */
export async function listSockets(
  diag: number,
  query: SocketQuery,
  visit: (socket: DiagRecord) => void,
): Promise<void> {
  const request = requestOf(query);
  const record = new DiagRecord();
  await dump(diag, request, (datagram, start, end) => {
    if (end - start < SOCKET_BYTES) {
      throw new Error(`${request.operation}: a message is too short`);
    }
    record.at(datagram, start);
    visit(record);
  });
}

function requestOf(query: SocketQuery): DumpRequest {
  const filter = query.ports === undefined ? [] : [portFilter(query.ports)];
  if (query.protocol === "tcp") {
    const head = Buffer.alloc(COMPAT_REQUEST_BYTES);
    head.writeUInt32LE(query.states, AT_COMPAT_STATES);
    const payload = Buffer.concat([head, ...filter]);
    return { operation: "list tcp sockets", type: TCPDIAG_GETSOCK, payload };
  }
  const head = Buffer.alloc(REQUEST_BYTES);
  head[0] = FAMILIES[query.family];
  head[1] = PROTOCOLS.udp;
  head.writeUInt32LE(query.states, 4);
  const operation = `list udp sockets (${query.family})`;
  return { operation, type: SOCK_DIAG_BY_FAMILY, payload: Buffer.concat([head, ...filter]) };
}

/**
 * Attribute INET_DIAG_REQ_BYTECODE: each comparison is a struct inet_diag_bc_op { u8 code, yes; u16 no }
 * and another one with the port. `yes` and `no` are how far to go on; just past the end is yes, four
 * bytes further no (inet_diag_bc_run, net/ipv4/inet_diag.c).
 */
function portFilter({ low, high }: NonNullable<SocketQuery["ports"]>): Buffer {
  const bytes = Buffer.alloc(20);
  bytes.writeUInt16LE(bytes.length, 0);
  bytes.writeUInt16LE(1, 2);
  const INET_DIAG_BC_S_GE = 2;
  const INET_DIAG_BC_S_LE = 3;
  for (const [at, code, port] of [
    [4, INET_DIAG_BC_S_GE, low],
    [12, INET_DIAG_BC_S_LE, high],
  ] as const) {
    bytes[at] = code;
    bytes[at + 1] = 8;
    bytes.writeUInt16LE(bytes.length - at + 4, at + 2);
    bytes.writeUInt16LE(port, at + 6);
  }
  return bytes;
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
  askOnce(diag, { operation, type: SOCK_DIAG_BY_FAMILY, payload }, (datagram, start) => {
    const record = new DiagRecord();
    record.at(datagram, start);
    const found = record.decode();
    // Without such a connection the kernel gives whoever listens on the port (__inet_lookup).
    if (found.peer.port === peer.port && found.inode !== 0) owner = found.uid;
  });
  return owner;
}

/** A window on struct inet_diag_msg, moved from message to message: most are only counted. */
export class DiagRecord {
  #bytes: Buffer = Buffer.alloc(SOCKET_BYTES);
  #start = 0;

  at(bytes: Buffer, start: number): void {
    this.#bytes = bytes;
    this.#start = start;
  }

  get isIpv4(): boolean {
    return this.#bytes[this.#start] === FAMILIES.ipv4;
  }

  get state(): number {
    return this.#bytes.readUInt8(this.#start + 1);
  }

  get localPort(): number {
    return this.#bytes.readUInt16BE(this.#start + 4);
  }

  get peerPort(): number {
    return this.#bytes.readUInt16BE(this.#start + 6);
  }

  get uid(): number {
    return this.#bytes.readUInt32LE(this.#start + 64);
  }

  get inode(): number {
    return this.#bytes.readUInt32LE(this.#start + 68);
  }

  /** Sixteen bytes: an IPv4 address is mapped (RFC 4291, section 2.5.5.2). */
  get localAddress(): Uint8Array {
    return this.#mapped(AT_LOCAL);
  }

  get peerAddress(): Uint8Array {
    return this.#mapped(AT_PEER);
  }

  /** The same for the same peer, be its IPv4 address mapped or not: 48 bits of it fit a number. */
  peerKey(): number | string {
    const at = this.#start + AT_PEER;
    if (this.isIpv4) return this.#ipv4Key(at);
    const isMapped =
      this.#bytes.readUInt32BE(at + 8) === 0xffff &&
      this.#bytes.readUInt32BE(at + 4) === 0 &&
      this.#bytes.readUInt32BE(at) === 0;
    if (isMapped) return this.#ipv4Key(at + INET6_BYTES - INET_BYTES);
    return `${this.peerPort} ${this.#bytes.toString("latin1", at, at + INET6_BYTES)}`;
  }

  peer(): SocketAddress {
    return { address: text(this.#address(AT_PEER)), port: this.peerPort };
  }

  decode(): ListedSocket {
    return {
      state: this.state,
      local: { address: text(this.#address(AT_LOCAL)), port: this.localPort },
      peer: this.peer(),
      uid: this.uid,
      inode: this.inode,
      cookie: this.#bytes.readBigUInt64LE(this.#start + 44),
    };
  }

  #mapped(offset: number): Uint8Array {
    const start = this.#start + offset;
    if (!this.isIpv4) return this.#bytes.subarray(start, start + INET6_BYTES);
    const address = new Uint8Array(INET6_BYTES).fill(0xff, 10, 12);
    address.set(this.#bytes.subarray(start, start + INET_BYTES), 12);
    return address;
  }

  #ipv4Key(at: number): number {
    return this.#bytes.readUInt32BE(at) * 65_536 + this.peerPort;
  }

  /** 4 bytes for IPv4, also for a mapped address, else 16. */
  #address(offset: number): Buffer {
    const start = this.#start + offset;
    const bytes = this.#bytes.subarray(start, start + INET6_BYTES);
    if (this.isIpv4) return bytes.subarray(0, INET_BYTES);
    return isIpv4Mapped(bytes) ? bytes.subarray(INET6_BYTES - INET_BYTES) : bytes;
  }
}

function text(address: Buffer): string {
  return address.length === INET_BYTES ? address.join(".") : formatAddress(address);
}
