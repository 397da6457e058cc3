// The C library calls that Node lacks and a user of BPF needs beside it.
import { constants } from "node:os";
import { BpfError, checkErrno } from "./errors.ts";
import { lastErrno, libc } from "./ffi.ts";

/** Numbers of include/uapi/linux/{socket,netlink,sched,time}.h; SO_ and SOL_ as on x86 and arm. */
export const Posix = {
  AF_UNIX: 1,
  AF_NETLINK: 16,
  SOCK_DGRAM: 2,
  SOCK_RAW: 3,
  SOCK_NONBLOCK: 0o4000,
  SOCK_CLOEXEC: 0o2000000,
  MSG_DONTWAIT: 0x40,
  SOL_SOCKET: 1,
  SO_TYPE: 3,
  SO_NETNS_COOKIE: 71,
  CLONE_NEWNET: 0x40000000,
  CLOCK_REALTIME: 0,
  CLOCK_MONOTONIC: 1,
  CLOCK_MONOTONIC_COARSE: 6,
  CLOCK_BOOTTIME: 7,
} as const;

/** A longer wait in C would keep the process from ending: Node cannot interrupt it. */
const MAX_WAIT_MS = 500;
const POLLIN = 1;

/** Closed on exec. @returns a descriptor for `closeFd`. */
export function openSocket(domain: number, type: number, protocol = 0): number {
  const fd = libc().socket(domain, type | Posix.SOCK_CLOEXEC, protocol);
  const object = `domain ${domain} type ${type} protocol ${protocol}`;
  return checkErrno(fd, lastErrno(), { operation: "open socket", object });
}

/** `address` is a sockaddr: see unixAddress and netlinkAddress. */
export function bindSocket(fd: number, address: Uint8Array): void {
  const result = libc().bind(fd, address, address.byteLength);
  checkErrno(result, lastErrno(), { operation: "bind socket", object: `fd ${fd}` });
}

/** @returns the number of bytes sent. */
export function sendTo(fd: number, bytes: Uint8Array, address: Uint8Array | null = null): number {
  const length = address?.byteLength ?? 0;
  const result = libc().sendto(fd, bytes, bytes.byteLength, 0, address, length);
  return checkErrno(result, lastErrno(), { operation: "send to socket", object: `fd ${fd}` });
}

/** @returns the number of bytes received, or undefined when none wait. Never blocks. */
export function receive(fd: number, into: Uint8Array): number | undefined {
  const result = libc().recv(fd, into, into.byteLength, Posix.MSG_DONTWAIT);
  const errno = lastErrno();
  if (Number(result) === -1 && errno === constants.errno.EAGAIN) return undefined;
  return checkErrno(result, errno, { operation: "receive from socket", object: `fd ${fd}` });
}

/** Reads a socket option. @returns the number of bytes put into `into`. */
export function socketOption(fd: number, level: number, name: number, into: Uint8Array): number {
  const length = new Uint32Array([into.byteLength]);
  const result = libc().getsockopt(fd, level, name, into, length);
  const object = `level ${level} name ${name} of fd ${fd}`;
  checkErrno(result, lastErrno(), { operation: "read socket option", object });
  return length[0] ?? 0;
}

/** The sockaddr that a socket is bound to: a u16 with the family, then what that family has. */
export function socketName(fd: number): Uint8Array {
  const address = new Uint8Array(128);
  const length = new Uint32Array([address.byteLength]);
  const result = libc().getsockname(fd, address, length);
  checkErrno(result, lastErrno(), { operation: "read socket name", object: `fd ${fd}` });
  return address.subarray(0, length[0]);
}

export function closeFd(fd: number): void {
  const result = libc().close(fd);
  checkErrno(result, lastErrno(), { operation: "close", object: `fd ${fd}` });
}

/**
 * Moves the calling thread, and it alone, into another namespace.
 *
 * @param fd of /proc/PID/ns/net or the like.
 * @param type what it must be, CLONE_NEWNET; 0 for any.
 * @param object what errors call it.
 */
export function setNamespace(fd: number, type = 0, object = `namespace of fd ${fd}`): void {
  const result = libc().setns(fd, type);
  checkErrno(result, lastErrno(), { operation: "enter", object });
}

/** Nanoseconds on one of the kernel's clocks, as bpf_ktime_get_ns (monotonic) counts them. */
export function clockNs(clock: number): bigint {
  const time = new BigInt64Array(2);
  const result = libc().clock_gettime(clock, time);
  checkErrno(result, lastErrno(), { operation: "read clock", object: String(clock) });
  return (time[0] ?? 0n) * 1_000_000_000n + (time[1] ?? 0n);
}

/** How finely a clock counts, ns. That of CLOCK_MONOTONIC_COARSE is one jiffy of the kernel. */
export function clockResolutionNs(clock: number): bigint {
  const time = new BigInt64Array(2);
  const result = libc().clock_getres(clock, time);
  checkErrno(result, lastErrno(), { operation: "read clock resolution", object: String(clock) });
  return (time[0] ?? 0n) * 1_000_000_000n + (time[1] ?? 0n);
}

/** Blocks the thread until a descriptor is readable, for 500 ms at most. For workers. */
export function waitReadable(fd: number, timeoutMs: number): boolean {
  const poll = new DataView(new ArrayBuffer(8));
  poll.setInt32(0, fd, true);
  poll.setInt16(4, POLLIN, true);
  const result = libc().poll(poll, 1, Math.min(Math.max(0, timeoutMs), MAX_WAIT_MS));
  const errno = lastErrno();
  if (result === -1 && errno === constants.errno.EINTR) return false;
  return checkErrno(result, errno, { operation: "wait for", object: `fd ${fd}` }) > 0;
}

const UNIX_PATH_BYTES = 108;

/** A sockaddr_un. A path that begins with "@" is in the abstract namespace, as sd_notify has it. */
export function unixAddress(path: string): Uint8Array {
  const bytes = Buffer.from(path);
  if (bytes.length === 0 || bytes.length >= UNIX_PATH_BYTES) {
    const detail = `a path has 1 to ${UNIX_PATH_BYTES - 1} bytes`;
    throw new BpfError({ operation: "make unix address", object: path, code: "EINVAL", detail });
  }
  const abstract = path.startsWith("@");
  // An abstract name is all of the rest: a NUL at its end would be part of it.
  const address = new Uint8Array(2 + bytes.length + (abstract ? 0 : 1));
  new DataView(address.buffer).setUint16(0, Posix.AF_UNIX, true);
  address.set(bytes, 2);
  if (abstract) address[2] = 0;
  return address;
}

/** A sockaddr_nl: port 0 is the kernel, or to bind, one that the kernel chooses. */
export function netlinkAddress(port = 0, groups = 0): Uint8Array {
  const view = new DataView(new ArrayBuffer(12));
  view.setUint16(0, Posix.AF_NETLINK, true);
  view.setUint32(4, port, true);
  view.setUint32(8, groups, true);
  return new Uint8Array(view.buffer);
}
