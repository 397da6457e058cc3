import { isMainThread } from "node:worker_threads";
import { lastErrno, libbpf, libc, type Pointer, registerPrintCallback } from "./ffi.ts";

/** enum libbpf_print_level: 0 warnings, 1 information, 2 debugging. */
const LEVEL_INFO = 1;

/** One message of libbpf's carries a whole verifier log, which libbpf lets grow to 16 MiB. */
const MAX_MESSAGE_BYTES = 16 << 20;
const MAX_CAPTURED_BYTES = 32 << 20;
const FIRST_BUFFER_BYTES = 16 << 10;

const BEGIN_MARK = "-- BEGIN PROG LOAD LOG --";
const END_MARK = "-- END PROG LOAD LOG --";

/** sizeof(va_list): System V x86-64 ABI section 3.5.7, AAPCS64 section 10.1.5. */
const VA_LIST_BYTES = process.arch === "arm64" ? 32 : 24;

let captured: string[] = [];
let capturedBytes = 0;
let printCallback: Pointer | undefined;

function formatMessage(format: Pointer, args: Pointer): string {
  // vsnprintf consumes the va_list, so the pass that measures gets a copy.
  const copy = new Uint8Array(VA_LIST_BYTES);
  libc().memcpy(copy, args, VA_LIST_BYTES);
  let buffer = new Uint8Array(FIRST_BUFFER_BYTES);
  const length = libc().vsnprintf(buffer, buffer.length, format, copy);
  if (length < 0) return "";
  if (length >= buffer.length) {
    buffer = new Uint8Array(Math.min(length + 1, MAX_MESSAGE_BYTES));
    libc().vsnprintf(buffer, buffer.length, format, args);
  }
  const end = Math.min(length, buffer.length - 1);
  return Buffer.from(buffer.buffer, 0, end).toString();
}

function onPrint(level: number, format: Pointer, args: Pointer): number {
  if (level > LEVEL_INFO || capturedBytes >= MAX_CAPTURED_BYTES) return 0;
  const message = formatMessage(format, args);
  captured.push(message);
  capturedBytes += message.length;
  return 0;
}

export interface Captured<T> {
  readonly result: T;
  /** errno as the call left it. */
  readonly errno: number;
  /** Everything libbpf said at warning or information level. */
  readonly log: string;
}

/**
 * Runs a call into libbpf and gathers what it logs; nothing reaches stdout or stderr. libbpf has
 * one print function per process and calls it on the calling thread, and an FFI callback belongs
 * to the thread that made it: so only the main thread captures, a worker gets an empty log.
 */
export function captureLog<T>(call: () => T): Captured<T> {
  const { libbpf_set_print } = libbpf();
  captured = [];
  capturedBytes = 0;
  if (isMainThread) printCallback ??= registerPrintCallback(onPrint);
  libbpf_set_print(printCallback ?? null);
  try {
    const result = call();
    return { result, errno: lastErrno(), log: captured.join("") };
  } finally {
    libbpf_set_print(null);
    captured = [];
  }
}

/** How much of a verifier's log an error keeps, in lines, unless told otherwise. */
export const DEFAULT_VERIFIER_LINES = 20;

function summariseVerifierLog(lines: readonly string[], maxLines: number): string[] {
  // The end says what was refused; the beginning is the program's first instructions.
  const omitted = lines.length - maxLines;
  if (omitted <= 0) return [...lines];
  return [`... ${omitted} lines of the verifier's log left out ...`, ...lines.slice(omitted)];
}

/**
 * Shortens a log: libbpf's own lines stay, each verifier log is cut to its last `maxLines` lines
 * with the number of lines left out.
 */
export function summariseLog(log: string, maxLines = DEFAULT_VERIFIER_LINES): string {
  const output: string[] = [];
  let verifier: string[] | undefined;
  for (const line of log.split("\n")) {
    const text = line.trimEnd();
    if (text.endsWith(BEGIN_MARK)) verifier = [];
    else if (text.endsWith(END_MARK)) {
      output.push(...summariseVerifierLog(verifier ?? [], maxLines));
      verifier = undefined;
    } else if (text !== "") (verifier ?? output).push(text);
  }
  if (verifier !== undefined) output.push(...summariseVerifierLog(verifier, maxLines));
  return summariseVerifierLog(output, Math.max(maxLines * 2, 40)).join("\n");
}
