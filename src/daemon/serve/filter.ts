import { constants } from "node:fs";
import type { FilterInstruction } from "libbpf-ts";
import { SYSTEM_CALLS } from "./system-calls.ts";

/**
 * What a process that only serves never does. A list of what it may do would be shorter, but differs
 * between versions of Node and of the C library.
 */
const DENIED = Object.keys(SYSTEM_CALLS).filter(
  (name) =>
    ![
      "clone",
      "clone3",
      "fcntl",
      "ioctl",
      "kill",
      "open",
      "openat",
      "openat2",
      "prctl",
      "prlimit64",
      "sendmmsg",
      "sendmsg",
      "sendto",
      "setsockopt",
      "shutdown",
      "tgkill",
    ].includes(name),
);

/** Their arguments lie in memory, which a filter cannot read: callers go on with the older one. */
const ABSENT = ["clone3", "openat2"];

/** Numbers of include/uapi/linux/audit.h: EM_X86_64, EM_AARCH64, with the bits for 64 and little endian. */
const ARCHITECTURES = { x64: 0xc000003e, arm64: 0xc00000b7 } as const;
const X32_BIT = 0x40000000;

/** struct seccomp_data. */
const AT_NUMBER = 0;
const AT_ARCHITECTURE = 4;
const lowHalfOf = (argument: number) => 16 + 8 * argument;

/** include/uapi/linux/bpf_common.h. */
const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_AT_LEAST = 0x35;
const JUMP_ANY_BIT = 0x45;
const RETURN = 0x06;

const ALLOW = 0x7fff0000;
const KILL_PROCESS = 0x80000000;
const refuse = (errno: number) => 0x00050000 | errno;
const EPERM = 1;
const ENOSYS = 38;

const CLONE_THREAD = 0x00010000;
const O_TMPFILE = 0x00400000;
const WRITING =
  constants.O_WRONLY | constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC | O_TMPFILE;
/**
 * TIOCSTI and TIOCLINUX put words into the mouth of whoever sits at the terminal (tty_ioctl.h).
 * FIOSETOWN and SIOCSPGRP, as F_SETOWN, F_SETSIG and F_SETOWN_EX, have the kernel send a signal of
 * choice to any process of the same user when a descriptor becomes ready.
 */
const IOCTLS = [0x5412, 0x541c, 0x8901, 0x8902];
const FCNTLS = [8, 10, 15];
/** It must not outlive the privileged process. */
const PR_SET_PDEATHSIG = 1;
/**
 * sendto(2) with it connects (tcp_sendmsg_fastopen() in net/ipv4/tcp.c), also from a socket that was
 * given to listen and was shut down. Ending what is sent is all that shutdown(2) is needed for, and
 * harms no socket that listens, which the next serving process needs.
 */
const MSG_FASTOPEN = 0x20000000;
const SHUT_WR = 1;
/**
 * TCP_NODELAY, SO_KEEPALIVE with its three times, and SO_LINGER: what Node sets. Others would stop a
 * socket that listens for ever, such as a socket filter that cannot be taken away again.
 */
const SOCKET_OPTIONS = [1, 4, 5, 6, 9, 13];

export type Architecture = keyof typeof ARCHITECTURES;

/** The filter of a process that only serves; `pid` is its own. */
export function servingFilter(pid: number, architecture: Architecture): FilterInstruction[] {
  const program = new FilterProgram(architecture);
  program.onlyThisArchitecture();
  for (const name of ABSENT) program.refuse(name, ENOSYS);
  program.allowIfAnyBit("clone", 0, CLONE_THREAD);
  for (const name of ["kill", "tgkill"]) program.allowIfEqual(name, 0, pid);
  program.allowIfEqual("prlimit64", 0, 0);
  program.refuseIfAnyBit("open", 1, WRITING);
  program.refuseIfAnyBit("openat", 2, WRITING);
  for (const request of IOCTLS) program.refuseIfEqual("ioctl", 1, request);
  for (const command of FCNTLS) program.refuseIfEqual("fcntl", 1, command);
  program.refuseIfEqual("prctl", 0, PR_SET_PDEATHSIG);
  program.refuseIfAnyBit("sendto", 3, MSG_FASTOPEN);
  program.refuseIfAnyBit("sendmsg", 2, MSG_FASTOPEN);
  program.refuseIfAnyBit("sendmmsg", 3, MSG_FASTOPEN);
  program.allowIfEqual("shutdown", 1, SHUT_WR);
  program.allowIfOneOf("setsockopt", 2, SOCKET_OPTIONS);
  for (const name of DENIED) program.refuse(name, EPERM);
  return program.end();
}

/**
 * The filter under which it is started: Node from 22 on opens io_uring descriptors before its first
 * line, which do what they like past any later filter.
 */
export function startingFilter(architecture: Architecture): FilterInstruction[] {
  const program = new FilterProgram(architecture);
  program.onlyThisArchitecture();
  program.refuse("io_uring_setup", ENOSYS);
  return program.end();
}

class FilterProgram {
  readonly #instructions: FilterInstruction[] = [];
  readonly #architecture: Architecture;

  constructor(architecture: Architecture) {
    this.#architecture = architecture;
  }

  /** A number means another call elsewhere: with the calls of 32 bits, or of x32. */
  onlyThisArchitecture(): void {
    this.#add(LOAD, AT_ARCHITECTURE);
    this.#add(JUMP_EQUAL, ARCHITECTURES[this.#architecture], 1, 0);
    this.#add(RETURN, KILL_PROCESS);
    this.#add(LOAD, AT_NUMBER);
    if (this.#architecture !== "x64") return;
    this.#add(JUMP_AT_LEAST, X32_BIT, 0, 1);
    this.#add(RETURN, KILL_PROCESS);
  }

  refuse(name: string, errno: number): void {
    this.#on(name, [[RETURN, refuse(errno)]]);
  }

  allowIfEqual(name: string, argument: number, value: number): void {
    this.allowIfOneOf(name, argument, [value]);
  }

  allowIfOneOf(name: string, argument: number, values: readonly number[]): void {
    const tests = values.map((value, index) => [JUMP_EQUAL, value, values.length - index, 0]);
    this.#onArgument(name, argument, ...tests);
  }

  allowIfAnyBit(name: string, argument: number, bits: number): void {
    this.#onArgument(name, argument, [JUMP_ANY_BIT, bits, 1, 0]);
  }

  refuseIfEqual(name: string, argument: number, value: number): void {
    this.#onArgument(name, argument, [JUMP_EQUAL, value, 0, 1]);
  }

  refuseIfAnyBit(name: string, argument: number, bits: number): void {
    this.#onArgument(name, argument, [JUMP_ANY_BIT, bits, 0, 1]);
  }

  end(): FilterInstruction[] {
    this.#add(RETURN, ALLOW);
    return this.#instructions;
  }

  /** `tests` skip the refusal that follows them, or not. */
  #onArgument(name: string, argument: number, ...tests: readonly (readonly number[])[]): void {
    const argumentLoaded = [LOAD, lowHalfOf(argument)];
    this.#on(name, [argumentLoaded, ...tests, [RETURN, refuse(EPERM)], [LOAD, AT_NUMBER]]);
  }

  #on(name: string, steps: readonly (readonly number[])[]): void {
    const [x64, arm64] = SYSTEM_CALLS[name] ?? [];
    const number = this.#architecture === "x64" ? x64 : arm64;
    if (number === undefined) return;
    this.#add(JUMP_EQUAL, number, 0, steps.length);
    for (const [code = 0, operand = 0, jumpTrue = 0, jumpFalse = 0] of steps) {
      this.#add(code, operand, jumpTrue, jumpFalse);
    }
  }

  #add(code: number, operand: number, jumpTrue = 0, jumpFalse = 0): void {
    this.#instructions.push({ code, operand, jumpTrue, jumpFalse });
  }
}
