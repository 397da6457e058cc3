import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync } from "node:fs";
import { test } from "node:test";
import {
  bindSocket,
  clockNs,
  clockResolutionNs,
  closeFd,
  connectSocket,
  inetAddress,
  listenOn,
  netlinkAddress,
  openFilesLimit,
  openSocket,
  Posix,
  receive,
  sendTo,
  setNamespace,
  setSocketOption,
  socketName,
  socketOption,
  unixAddress,
} from "../src/index.ts";

test("a datagram goes from one unix socket to another", () => {
  const path = `@libbpf-ts-test-${process.pid}`;
  const receiver = openSocket(Posix.AF_UNIX, Posix.SOCK_DGRAM);
  bindSocket(receiver, unixAddress(path));
  const sender = openSocket(Posix.AF_UNIX, Posix.SOCK_DGRAM);
  const buffer = new Uint8Array(64);
  assert.equal(receive(receiver, buffer), undefined);
  assert.equal(sendTo(sender, Buffer.from("READY=1"), unixAddress(path)), 7);
  assert.equal(receive(receiver, buffer), 7);
  assert.equal(Buffer.from(buffer.subarray(0, 7)).toString(), "READY=1");
  const nowhere = unixAddress("@libbpf-ts-nowhere");
  assert.throws(() => sendTo(sender, buffer, nowhere), { code: "ECONNREFUSED" });
  closeFd(receiver);
  closeFd(sender);
  assert.throws(() => closeFd(sender), { code: "EBADF" });
});

test("a stream socket listens, and tells its port; another connects, or learns that it cannot", () => {
  const loopback = Uint8Array.of(127, 0, 0, 1);
  const listener = openSocket(Posix.AF_INET, Posix.SOCK_STREAM);
  setSocketOption(listener, Posix.SOL_SOCKET, Posix.SO_REUSEADDR, 1);
  const option = new Uint8Array(4);
  assert.equal(socketOption(listener, Posix.SOL_SOCKET, Posix.SO_REUSEADDR, option), 4);
  assert.deepEqual([...option], [1, 0, 0, 0]);
  bindSocket(listener, inetAddress(loopback, 0));
  const name = socketName(listener);
  assert.deepEqual([...name.subarray(4, 8)], [...loopback]);
  listenOn(listener, 1);
  const client = openSocket(Posix.AF_INET, Posix.SOCK_STREAM);
  connectSocket(client, name);
  closeFd(listener);
  const late = openSocket(Posix.AF_INET, Posix.SOCK_STREAM);
  assert.throws(() => connectSocket(late, name), { code: "ECONNREFUSED" });
  for (const fd of [client, late]) closeFd(fd);
});

test("an IPv6 address has a port and a scope", () => {
  const address = inetAddress(Uint8Array.of(0xfe, 0x80, ...Array(13).fill(0), 1), 5961, 7);
  assert.deepEqual([...address.subarray(0, 4)], [10, 0, 5961 >> 8, 5961 & 255]);
  assert.deepEqual([address.length, address[23], address[24]], [28, 1, 7]);
});

test("the limit of descriptors is the one of this process", () => {
  const limits = readFileSync("/proc/self/limits", "utf8");
  assert.equal(openFilesLimit(), Number(/^Max open files +(\d+)/m.exec(limits)?.[1]));
});

test("unix addresses have bounds", () => {
  assert.equal(unixAddress("/run/x").length, 2 + 6 + 1);
  assert.equal(unixAddress("@x")[2], 0);
  assert.throws(() => unixAddress(""), { code: "EINVAL" });
  assert.throws(() => unixAddress("/".repeat(108)), { code: "EINVAL" });
});

test("netlink answers a request", () => {
  const NETLINK_ROUTE = 0;
  const RTM_GETLINK = 18;
  const NLM_F_REQUEST_DUMP = 0x301;
  const fd = openSocket(Posix.AF_NETLINK, Posix.SOCK_RAW, NETLINK_ROUTE);
  bindSocket(fd, netlinkAddress());
  const request = new DataView(new ArrayBuffer(32));
  request.setUint32(0, 32, true);
  request.setUint16(4, RTM_GETLINK, true);
  request.setUint16(6, NLM_F_REQUEST_DUMP, true);
  assert.equal(sendTo(fd, new Uint8Array(request.buffer), netlinkAddress()), 32);
  const answer = new Uint8Array(32_768);
  assert.ok((receive(fd, answer) ?? 0) > 32);
  assert.equal(new DataView(answer.buffer).getUint16(4, true), 16, "RTM_NEWLINK");
  closeFd(fd);
});

test("an option of a socket is read", () => {
  const fd = openSocket(Posix.AF_UNIX, Posix.SOCK_DGRAM);
  const value = new Uint8Array(8);
  assert.equal(socketOption(fd, Posix.SOL_SOCKET, Posix.SO_TYPE, value), 4);
  assert.equal(new DataView(value.buffer).getUint32(0, true), Posix.SOCK_DGRAM);
  assert.throws(() => socketOption(fd, Posix.SOL_SOCKET, 9999, value), { code: "ENOPROTOOPT" });
  closeFd(fd);
  assert.throws(() => socketOption(fd, Posix.SOL_SOCKET, Posix.SO_TYPE, value), { code: "EBADF" });
});

test("clocks count as the kernel's do", () => {
  const before = process.hrtime.bigint();
  const now = clockNs(Posix.CLOCK_MONOTONIC);
  assert.ok(before <= now && now <= process.hrtime.bigint());
  assert.ok(clockNs(Posix.CLOCK_BOOTTIME) >= now);
  assert.throws(() => clockNs(999), { code: "EINVAL" });
});

test("the coarse clock counts jiffies: 100 to 1000 in a second", () => {
  const resolution = Number(clockResolutionNs(Posix.CLOCK_MONOTONIC_COARSE));
  assert.ok([100, 250, 300, 1000].includes(Math.round(1e9 / resolution)), String(resolution));
  assert.equal(clockResolutionNs(Posix.CLOCK_MONOTONIC), 1n);
  assert.throws(() => clockResolutionNs(999), { code: "EINVAL" });
});

test("a namespace is entered by its descriptor", () => {
  const fd = openSync("/proc/self/ns/net", "r");
  setNamespace(fd, Posix.CLONE_NEWNET);
  closeSync(fd);
  assert.throws(() => setNamespace(fd), { code: "EBADF" });
});
