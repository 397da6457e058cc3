import { read, write } from "node:fs";
import { closeFd, errnoName, netlinkAddress, openSocket, Posix, receive, sendTo } from "libbpf-ts";
import { errnoOf } from "../util/errno.ts";

/** A request, for a list mostly, which the kernel answers with many messages. */
export interface DumpRequest {
  /** For errors: "read conntrack statistics". */
  readonly operation: string;
  readonly type: number;
  /** What follows struct nlmsghdr. */
  readonly payload: Uint8Array;
}

/**
 * Gets what follows struct nlmsghdr: the bytes of `datagram` from `start` up to `end`, not a slice of
 * it, which would be an object for each of 100,000 sockets. Valid during the call only.
 */
export type MessageHandler = (datagram: Buffer, start: number, end: number) => void;

/** The list changed while the kernel walked it (NLM_F_DUMP_INTR): ask again. */
export class InterruptedDumpError extends Error {
  override readonly name = "InterruptedDumpError";
}

/** More than the kernel ever puts into one datagram (netlink_recvmsg: 32 KiB). */
const RECEIVE_BYTES = 64 * 1024;
const HEADER_BYTES = 16;
/** Of `askOnce`: an error has the request in it. */
const ANSWER_BYTES = 4096;
const NLM_F_REQUEST = 0x1;
const NLM_F_DUMP_INTR = 0x10;
const NLM_F_DUMP = 0x300;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;

/** The socket belongs to the network namespace that the thread is in now, also later. */
export function openNetlink(protocol: number): number {
  return openSocket(Posix.AF_NETLINK, Posix.SOCK_RAW | Posix.SOCK_NONBLOCK, protocol);
}

/** Opens, acts and closes. */
export function withNetlink<T>(protocol: number, act: (socket: number) => T): T {
  const socket = openNetlink(protocol);
  try {
    return act(socket);
  } finally {
    closeFd(socket);
  }
}

/**
 * For short answers: all of it in one turn. The kernel fills the socket within the request and
 * within each receive (netlink_dump), so that nothing has to be waited for.
 */
export function dumpAtOnce(socket: number, request: DumpRequest, handle: MessageHandler): void {
  sendTo(socket, encode(request, NLM_F_REQUEST | NLM_F_DUMP), netlinkAddress());
  const buffer = Buffer.alloc(RECEIVE_BYTES);
  for (;;) {
    const length = receive(socket, buffer);
    if (length === undefined) throw truncated(request);
    if (readMessages(buffer.subarray(0, length), request, handle) === "done") return;
  }
}

/** For an answer of one message, which is there when the request is sent. */
export function askOnce(socket: number, request: DumpRequest, handle: MessageHandler): void {
  sendTo(socket, encode(request, NLM_F_REQUEST), netlinkAddress());
  const buffer = Buffer.alloc(ANSWER_BYTES);
  const length = receive(socket, buffer);
  if (length === undefined) throw truncated(request);
  readMessages(buffer.subarray(0, length), request, handle);
}

/**
 * For long answers. The kernel walks its tables within write(2) and read(2), those of all namespaces
 * together: with 100,000 sockets elsewhere that is some 10 ms without a single message. Hence both
 * are left to Node's threads, and this one only reads messages, up to 32 KiB in a turn.
 */
export async function dump(
  socket: number,
  request: DumpRequest,
  handle: MessageHandler,
): Promise<void> {
  await inThread((done) => {
    write(socket, encode(request, NLM_F_REQUEST | NLM_F_DUMP), done);
  });
  const buffer = Buffer.allocUnsafeSlow(RECEIVE_BYTES);
  for (;;) {
    const length = await receiveInThread(socket, buffer, request);
    if (readMessages(buffer.subarray(0, length), request, handle) === "done") return;
  }
}

/** Nothing has to be waited for here either. */
async function receiveInThread(
  socket: number,
  buffer: Buffer,
  request: DumpRequest,
): Promise<number> {
  try {
    return await inThread((done) => {
      read(socket, buffer, 0, buffer.length, null, done);
    });
  } catch (error) {
    throw errnoOf(error) === "EAGAIN" ? truncated(request) : error;
  }
}

type Done = (error: NodeJS.ErrnoException | null, bytes: number) => void;

function inThread(act: (done: Done) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    act((error, bytes) => {
      if (error === null) resolve(bytes);
      else reject(error);
    });
  });
}

/** @throws if a message is an error, does not fit, or the list changed meanwhile. */
export function readMessages(
  datagram: Buffer,
  request: DumpRequest,
  handle: MessageHandler,
): "done" | "more" {
  let at = 0;
  while (at < datagram.length) {
    if (at + HEADER_BYTES > datagram.length) throw truncated(request);
    const bytes = datagram.readUInt32LE(at);
    const type = datagram.readUInt16LE(at + 4);
    if (bytes < HEADER_BYTES || at + bytes > datagram.length) throw truncated(request);
    if (datagram.readUInt16LE(at + 6) & NLM_F_DUMP_INTR) {
      throw new InterruptedDumpError(`${request.operation}: the list changed meanwhile`);
    }
    if (type === NLMSG_ERROR || type === NLMSG_DONE) {
      checkErrno(datagram.subarray(at + HEADER_BYTES, at + bytes), request);
    }
    if (type === NLMSG_DONE) return "done";
    if (type !== NLMSG_ERROR) handle(datagram, at + HEADER_BYTES, at + bytes);
    at += (bytes + 3) & ~3;
  }
  return "more";
}

/** Both kinds of end begin with 0 or a negative errno. */
function checkErrno(body: Buffer, request: DumpRequest): void {
  if (body.length < 4) throw truncated(request);
  const errno = -body.readInt32LE(0);
  if (errno === 0) return;
  throw new Error(`${request.operation}: the kernel answered ${errnoName(errno)}`);
}

function truncated({ operation }: DumpRequest): Error {
  return new Error(`${operation}: the kernel's answer is truncated`);
}

function encode({ type, payload }: DumpRequest, flags: number): Uint8Array {
  const request = Buffer.alloc(HEADER_BYTES + payload.length);
  request.writeUInt32LE(request.length, 0);
  request.writeUInt16LE(type, 4);
  request.writeUInt16LE(flags, 6);
  request.set(payload, HEADER_BYTES);
  return request;
}
