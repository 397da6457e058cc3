/**
 * What the serving process may ask the privileged one. A question is one record of fixed size with
 * nothing but numbers in it, so that there is little to get wrong in reading what a hostile process
 * sends: no path, no text, no length.
 */

/** By number on the wire. */
export const QUESTION_KINDS = [
  /** None, but a sign of life: `cookie` events so far, `inum` open findings. */
  "alive",
  /** Backends and counters of the probes, and how the privileged process is. */
  "state",
  /** Local ports of all network namespaces; `inum`: the number of the scan that is known. */
  "scan",
  /** Identities and names of all network namespaces. */
  "namespaces",
  /** Ports of one namespace, or of all, and who holds them. */
  "report",
  /** Use and holders of the ports of one namespace towards one peer. */
  "use",
  /** Name of a network namespace. */
  "netns",
  /** Whether the last answer to that still holds. */
  "confirm",
  /** Ways into a network namespace. */
  "place",
  /** What the kernel has counted: run times of the programs, connects, and conntrack's counters. */
  "kernel",
  /** Whether connects that went as they should are to be events: `inum` is 1 or 0. */
  "ordinary",
] as const;

export type QuestionKind = (typeof QUESTION_KINDS)[number];

export const QUESTION_BYTES = 72;
export const MAX_PIDS = 4;

/** Absent numbers are 0 on the wire. */
export interface Question {
  readonly kind: QuestionKind;
  /** Comes back with the answer. */
  readonly id: number;
  readonly cookie?: bigint;
  readonly inum?: number;
  /** At most MAX_PIDS. */
  readonly pids?: readonly number[];
  /** IPPROTO_TCP or IPPROTO_UDP. */
  readonly protocol?: number;
  /** Sixteen bytes: an IPv4 address is mapped (RFC 4291, section 2.5.5.2). */
  readonly peer?: { readonly address: Uint8Array; readonly port: number };
  /** A local one. */
  readonly port?: number;
  /** Local ports, both ends included; a bound of 0 is none. */
  readonly range?: { readonly low: number; readonly high: number };
  /** Since the machine booted. */
  readonly atMs?: number;
}

const AT = { cookie: 8, inum: 16, pids: 20, protocol: 36, port: 38, peerPort: 40, hasPeer: 42 };
const AT_ADDRESS = 44;
const AT_RANGE = 60;
const AT_TIME = 64;
const ADDRESS_BYTES = 16;
const PROTOCOLS = [0, 6, 17];
const MAX_PID = 1 << 22; // PID_MAX_LIMIT, include/linux/threads.h

/** A question that nobody who is sound would ask. */
export class BadQuestionError extends Error {
  override readonly name = "BadQuestionError";
}

export function encodeQuestion(question: Question): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(QUESTION_BYTES));
  view.setUint32(0, QUESTION_KINDS.indexOf(question.kind) + 1, true);
  view.setUint32(4, question.id, true);
  view.setBigUint64(AT.cookie, question.cookie ?? 0n, true);
  view.setUint32(AT.inum, question.inum ?? 0, true);
  for (const [index, pid] of (question.pids ?? []).slice(0, MAX_PIDS).entries()) {
    view.setUint32(AT.pids + 4 * index, pid, true);
  }
  view.setUint16(AT.protocol, question.protocol ?? 0, true);
  view.setUint16(AT.port, question.port ?? 0, true);
  view.setUint16(AT.peerPort, question.peer?.port ?? 0, true);
  view.setUint16(AT.hasPeer, question.peer === undefined ? 0 : 1, true);
  view.setUint16(AT_RANGE, question.range?.low ?? 0, true);
  view.setUint16(AT_RANGE + 2, question.range?.high ?? 0, true);
  view.setFloat64(AT_TIME, question.atMs ?? 0, true);
  const bytes = new Uint8Array(view.buffer);
  if (question.peer !== undefined) bytes.set(question.peer.address, AT_ADDRESS);
  return bytes;
}

/** @throws BadQuestionError, for any bytes that encodeQuestion does not make. */
export function decodeQuestion(bytes: Uint8Array): Question {
  if (bytes.length !== QUESTION_BYTES) throw new BadQuestionError(`it has ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const number = view.getUint32(0, true);
  const kind = QUESTION_KINDS[number - 1];
  if (kind === undefined) throw new BadQuestionError(`there is no kind ${number}`);
  const cookie = view.getBigUint64(AT.cookie, true);
  const inum = view.getUint32(AT.inum, true);
  const protocol = view.getUint16(AT.protocol, true);
  const port = view.getUint16(AT.port, true);
  const atMs = view.getFloat64(AT_TIME, true);
  if (!PROTOCOLS.includes(protocol)) throw new BadQuestionError(`protocol ${protocol}`);
  if (!(atMs >= 0 && atMs <= Number.MAX_SAFE_INTEGER)) throw new BadQuestionError("no such time");
  const pids = pidsOf(view);
  const peer = peerOf(view, bytes);
  const range = rangeOf(view);
  return {
    kind,
    id: view.getUint32(4, true),
    ...(cookie !== 0n && { cookie }),
    ...(inum !== 0 && { inum }),
    ...(pids.length > 0 && { pids }),
    ...(protocol !== 0 && { protocol }),
    ...(port !== 0 && { port }),
    ...(range !== undefined && { range }),
    ...(atMs !== 0 && { atMs }),
    ...(peer !== undefined && { peer }),
  };
}

/** Those before the first 0. */
function pidsOf(view: DataView): number[] {
  const all = Array.from({ length: MAX_PIDS }, (_, index) =>
    view.getUint32(AT.pids + 4 * index, true),
  );
  const count = all.indexOf(0) < 0 ? MAX_PIDS : all.indexOf(0);
  if (all.slice(count).some((pid) => pid !== 0)) throw new BadQuestionError("pids have a gap");
  const wrong = all.find((pid) => pid > MAX_PID);
  if (wrong !== undefined) throw new BadQuestionError(`no process has the number ${wrong}`);
  return all.slice(0, count);
}

function rangeOf(view: DataView): Question["range"] {
  const low = view.getUint16(AT_RANGE, true);
  const high = view.getUint16(AT_RANGE + 2, true);
  if (high !== 0 && low > high) throw new BadQuestionError(`ports ${low} to ${high}`);
  return low === 0 && high === 0 ? undefined : { low, high };
}

function peerOf(view: DataView, bytes: Uint8Array): Question["peer"] {
  const hasPeer = view.getUint16(AT.hasPeer, true);
  if (hasPeer > 1) throw new BadQuestionError(`peer ${hasPeer}`);
  const end = AT_ADDRESS + ADDRESS_BYTES;
  const port = view.getUint16(AT.peerPort, true);
  const unused = bytes.subarray(hasPeer === 1 ? end : AT_ADDRESS, end);
  if (unused.some((byte) => byte !== 0) || (hasPeer === 0 && port !== 0)) {
    throw new BadQuestionError("unused bytes are not 0");
  }
  // A copy, which the slice of a Buffer is not: what waits must not keep a large piece alive.
  const address = Uint8Array.from(bytes.subarray(AT_ADDRESS, end));
  return hasPeer === 0 ? undefined : { address, port };
}
