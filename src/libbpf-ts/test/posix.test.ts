import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import {
  bindSocket,
  clockNs,
  clockResolutionNs,
  closeFd,
  netlinkAddress,
  openSocket,
  Posix,
  receive,
  sendTo,
  setNamespace,
  socketOption,
  unixAddress,
  waitReadable,
} from "../src/index.ts";

test("a datagram goes from one unix socket to another", () => {
  const path = `@libbpf-ts-test-${process.pid}`;
  const receiver = openSocket(Posix.AF_UNIX, Posix.SOCK_DGRAM);
  bindSocket(receiver, unixAddress(path));
  const sender = openSocket(Posix.AF_UNIX, Posix.SOCK_DGRAM);
  const buffer = new Uint8Array(64);
  assert.equal(receive(receiver, buffer), undefined);
  assert.equal(waitReadable(receiver, 1), false);
  assert.equal(sendTo(sender, Buffer.from("READY=1"), unixAddress(path)), 7);
  assert.equal(waitReadable(receiver, 100), true);
  assert.equal(receive(receiver, buffer), 7);
  assert.equal(Buffer.from(buffer.subarray(0, 7)).toString(), "READY=1");
  const nowhere = unixAddress("@libbpf-ts-nowhere");
  assert.throws(() => sendTo(sender, buffer, nowhere), { code: "ECONNREFUSED" });
  closeFd(receiver);
  closeFd(sender);
  assert.throws(() => closeFd(sender), { code: "EBADF" });
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
  assert.equal(waitReadable(fd, 500), true);
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
