// The C library calls that Node lacks and a user of BPF needs beside it.
import { constants } from "node:os";
import { BpfError, checkErrno } from "./errors.ts";
import { lastErrno, libc } from "./ffi.ts";

/** Numbers of include/uapi/linux/{socket,netlink,sched,time,in6,fcntl}.h as on x86 and arm. */
export const Posix = {
  AF_UNIX: 1,
  AF_INET: 2,
  AF_INET6: 10,
  AF_NETLINK: 16,
  SOCK_STREAM: 1,
  SOCK_DGRAM: 2,
  SOCK_RAW: 3,
  SOCK_NONBLOCK: 0o4000,
  SOCK_CLOEXEC: 0o2000000,
  MSG_DONTWAIT: 0x40,
  MSG_NOSIGNAL: 0x4000,
  SOL_SOCKET: 1,
  SO_REUSEADDR: 2,
  SO_TYPE: 3,
  SO_PEERCRED: 17,
  SO_NETNS_COOKIE: 71,
  IPPROTO_IPV6: 41,
  IPV6_V6ONLY: 26,
  O_PATH: 0o10000000,
  CLONE_NEWNET: 0x40000000,
  CLOCK_REALTIME: 0,
  CLOCK_MONOTONIC: 1,
  CLOCK_MONOTONIC_COARSE: 6,
  CLOCK_BOOTTIME: 7,
} as const;

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

/** From now on others can connect; up to `backlog` of them wait. */
export function listenOn(fd: number, backlog: number): void {
  const result = libc().listen(fd, backlog);
  checkErrno(result, lastErrno(), { operation: "listen on socket", object: `fd ${fd}` });
}

export function connectSocket(fd: number, address: Uint8Array): void {
  const result = libc().connect(fd, address, address.byteLength);
  checkErrno(result, lastErrno(), { operation: "connect socket", object: `fd ${fd}` });
}

/** @returns the number of bytes sent. */
export function sendTo(fd: number, bytes: Uint8Array, address: Uint8Array | null = null): number {
  const length = address?.byteLength ?? 0;
  const result = libc().sendto(fd, bytes, bytes.byteLength, 0, address, length);
  return checkErrno(result, lastErrno(), { operation: "send to socket", object: `fd ${fd}` });
}

/** As `sendTo` a connected socket. Never blocks. @returns undefined when there is no room. */
export function sendNow(fd: number, bytes: Uint8Array): number | undefined {
  const flags = Posix.MSG_DONTWAIT | Posix.MSG_NOSIGNAL;
  const result = libc().sendto(fd, bytes, bytes.byteLength, flags, null, 0);
  const errno = lastErrno();
  if (Number(result) === -1 && errno === constants.errno.EAGAIN) return undefined;
  return checkErrno(result, errno, { operation: "send to socket", object: `fd ${fd}` });
}

const POLLOUT = 4;

/** Whether a pipe has room for PIPE_BUF bytes, or a terminal takes any (poll(2)). Never blocks. */
export function isWritable(fd: number): boolean {
  const waiting = new Int32Array([fd, POLLOUT]); // struct pollfd { int fd; short events, revents; }
  const result = libc().poll(waiting, 1, 0);
  checkErrno(result, lastErrno(), { operation: "poll", object: `fd ${fd}` });
  return (waiting[1] ?? 0) >> 16 !== 0;
}

const POLLIN = 1;

/** Waits until there is something to read, or the other end has gone. @returns false: not in time. */
export function waitReadable(fd: number, timeoutMs: number): boolean {
  const waiting = new Int32Array([fd, POLLIN]);
  const result = libc().poll(waiting, 1, Math.ceil(timeoutMs));
  return checkErrno(result, lastErrno(), { operation: "poll", object: `fd ${fd}` }) > 0;
}

const MFD_CLOEXEC = 1;
const MEMFD_CREATE: Readonly<Record<string, number>> = { x64: 319, arm64: 279 };

/** A file in memory, which is gone with its last descriptor (memfd_create(2)). */
export function memoryFile(name: string): number {
  const number = MEMFD_CREATE[process.arch] ?? -1;
  const fd = libc().syscall(number, Buffer.from(`${name}\0`), MFD_CLOEXEC, 0, 0, 0);
  return checkErrno(fd, lastErrno(), { operation: "make file in memory", object: name });
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

/** Sets a socket option that is an int. */
export function setSocketOption(fd: number, level: number, name: number, value: number): void {
  const bytes = new Int32Array([value]);
  const result = libc().setsockopt(fd, level, name, bytes, bytes.byteLength);
  const object = `level ${level} name ${name} of fd ${fd}`;
  checkErrno(result, lastErrno(), { operation: "set socket option", object });
}

/** The sockaddr that a socket is bound to: a u16 with the family, then what that family has. */
export function socketName(fd: number): Uint8Array {
  const address = new Uint8Array(128);
  const length = new Uint32Array([address.byteLength]);
  const result = libc().getsockname(fd, address, length);
  checkErrno(result, lastErrno(), { operation: "read socket name", object: `fd ${fd}` });
  return address.subarray(0, length[0]);
}

/** Whether any source of users (getpwuid(3), nsswitch.conf(5)) has one of this number. */
export function hasUser(uid: number): boolean {
  return libc().getpwuid(uid) !== null;
}

/** RLIMIT_NOFILE of include/uapi/asm-generic/resource.h. */
const RLIMIT_NOFILE = 7;

/** No descriptor gets this number, or a greater one; it may be changed from outside (prlimit(1)). */
export function openFilesLimit(): number {
  const limits = new BigUint64Array(2);
  const bytes = new Uint8Array(limits.buffer);
  const result = libc().getrlimit(RLIMIT_NOFILE, bytes);
  checkErrno(result, lastErrno(), { operation: "read limit", object: "RLIMIT_NOFILE" });
  return Number(limits[0]);
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

/** For each reading again: it is read with each batch of a ring. */
const clockTime = new BigInt64Array(2);

/** Nanoseconds on one of the kernel's clocks, as bpf_ktime_get_ns (monotonic) counts them. */
export function clockNs(clock: number): bigint {
  const result = libc().clock_gettime(clock, clockTime);
  if (result !== 0)
    checkErrno(result, lastErrno(), { operation: "read clock", object: String(clock) });
  return (clockTime[0] ?? 0n) * 1_000_000_000n + (clockTime[1] ?? 0n);
}

/** How finely a clock counts, ns. That of CLOCK_MONOTONIC_COARSE is one jiffy of the kernel. */
export function clockResolutionNs(clock: number): bigint {
  const time = new BigInt64Array(2);
  const result = libc().clock_getres(clock, time);
  checkErrno(result, lastErrno(), { operation: "read clock resolution", object: String(clock) });
  return (time[0] ?? 0n) * 1_000_000_000n + (time[1] ?? 0n);
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

const IN_BYTES = 16;
const IN6_BYTES = 28;

/**
 * A sockaddr_in for an address of 4 bytes, a sockaddr_in6 for one of 16.
 *
 * @param scope number of the interface that a link-local address belongs to.
 */
export function inetAddress(address: Uint8Array, port: number, scope = 0): Uint8Array {
  const isV4 = address.byteLength === 4;
  const view = new DataView(new ArrayBuffer(isV4 ? IN_BYTES : IN6_BYTES));
  view.setUint16(0, isV4 ? Posix.AF_INET : Posix.AF_INET6, true);
  view.setUint16(2, port, false);
  const bytes = new Uint8Array(view.buffer);
  bytes.set(address, isV4 ? 4 : 8);
  if (!isV4) view.setUint32(24, scope, true);
  return bytes;
}

/** A sockaddr_nl: port 0 is the kernel, or to bind, one that the kernel chooses. */
export function netlinkAddress(port = 0, groups = 0): Uint8Array {
  const view = new DataView(new ArrayBuffer(12));
  view.setUint16(0, Posix.AF_NETLINK, true);
  view.setUint32(4, port, true);
  view.setUint32(8, groups, true);
  return new Uint8Array(view.buffer);
}
