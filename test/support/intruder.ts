import assert from "node:assert/strict";
import { start } from "./commands.ts";
import { FAULTS } from "./netns.ts";

/** A text is put into the caller's memory with a NUL at its end, bytes as they are. */
export type Argument = number | string | { readonly hex: string };

/** Its number on x86-64 (asm/unistd_64.h), and up to six arguments. */
export type SystemCall = readonly [number: number, ...Argument[]];

/** What becomes of each when `pid` makes it: "ok", the error's name, or that of a deadly signal. */
export async function makeCalls(pid: number, calls: readonly SystemCall[]): Promise<string[]> {
  const script = `${FAULTS}intruder.py`;
  const { code, stdout, stderr } = await start(
    "python3",
    [script, String(pid)],
    {},
    JSON.stringify(calls),
  ).done;
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as string[];
}

/** Numbers of 32 bits, little endian, as structures of the kernel have them. */
export function words(...values: readonly number[]): Argument {
  return { hex: Buffer.from(Uint32Array.from(values).buffer).toString("hex") };
}

export interface Surroundings {
  /** The process that started the one under attack. */
  readonly parent: number;
  /** A directory in which all may write, with a file "there" that all may write. */
  readonly directory: string;
  /** Of a socket of the attacked process, on which it listens. */
  readonly listenerFd: number;
}

export interface Attack {
  readonly what: string;
  readonly call: SystemCall;
  /** How it is refused: EPERM by the filter, if this is left out. */
  readonly refusal?: string;
  /** Another process would begin in the middle of what this one does. */
  readonly startsProcess?: boolean;
}

const AT_FDCWD = -100;
const O_WRONLY = 0o1;
const O_RDWR = 0o2;
const O_CREAT = 0o100;
const O_TMPFILE = 0o20200000;
const READ_WRITE_OWNER = 0o600;
const SIGCHLD = 17;
const MSG_FASTOPEN = 0x20000000;
/** struct sockaddr_in: 127.0.0.1, port 9. */
const PEER: Argument = { hex: `02000009${"7f000001"}${"00".repeat(8)}` };
/** struct iovec, of eight bytes at 64 KiB. */
const AREA = words(0x10000, 0, 8, 0);

/** What somebody would try who can run code of his own in a process. */
export function attacks({ parent, directory, listenerFd }: Surroundings): readonly Attack[] {
  const file = `${directory}/there`;
  const memory = `/proc/${parent}/mem`;
  const zeros = words(...Array<number>(32).fill(0));
  return [
    ...onFiles(file, directory),
    { what: "read /etc/shadow", call: [257, AT_FDCWD, "/etc/shadow", 0], refusal: "EACCES" },
    { what: "read the parent's memory", call: [257, AT_FDCWD, memory, 0], refusal: "EACCES" },
    { what: "write the parent's memory", call: [257, AT_FDCWD, memory, O_RDWR] },
    { what: "process_vm_readv", call: [310, parent, AREA, 1, AREA, 1, 0] },
    { what: "process_vm_writev", call: [311, parent, AREA, 1, AREA, 1, 0] },
    { what: "ptrace the parent", call: [101, 16, parent, 0, 0] },
    { what: "kill the parent", call: [62, parent, 0] },
    { what: "kill the process group", call: [62, 0, 0] },
    { what: "tgkill", call: [234, parent, parent, 0] },
    { what: "prlimit of the parent", call: [302, parent, 7, 0, 0] },
    { what: "sched_setscheduler of the parent", call: [144, parent, 3, words(0)] },
    { what: "sched_setaffinity of the parent", call: [203, parent, 8, words(0xffff, 0)] },
    { what: "setpriority of the parent", call: [141, 0, parent, 1] },
    { what: "pidfd_open of the parent", call: [434, parent, 0] },
    { what: "pidfd_send_signal", call: [424, 0, 0, 0, 0] },
    { what: "pidfd_getfd", call: [438, 0, 0, 0] },
    { what: "process_mrelease", call: [448, -1, 0] },
    { what: "live on without the parent", call: [157, 1, 0, 0, 0, 0] },
    { what: "be told of input by a signal to the parent", call: [72, 0, 8, parent] },
    {
      what: "bpf: make a map",
      call: [321, 0, words(2, 4, 4, 1, ...Array<number>(26).fill(0)), 72],
    },
    { what: "bpf: write into a map", call: [321, 2, zeros, 32] },
    { what: "bpf: load a program", call: [321, 5, zeros, 128] },
    { what: "perf_event_open", call: [298, zeros, -1, -1, -1, 0] },
    { what: "setns", call: [308, 0, 0] },
    { what: "mount", call: [165, "none", "/nonexistent", "tmpfs", 0, 0] },
    { what: "fsopen", call: [430, "tmpfs", 0] },
    { what: "chroot", call: [161, "/"] },
    { what: "sethostname", call: [170, "intruder", 8] },
    { what: "setuid(0)", call: [105, 0] },
    { what: "memfd_create", call: [319, "intruder", 0] },
    { what: "io_setup", call: [206, 1, words(0, 0)] },
    { what: "io_uring_setup", call: [425, 1, zeros] },
    { what: "io_uring_enter", call: [426, 0, 0, 0, 0, 0] },
    { what: "io_uring_register", call: [427, 0, 0, 0, 0] },
    { what: "userfaultfd", call: [323, 0x7fffffff] },
    { what: "shmget", call: [29, 0, 4096, 0o600] },
    { what: "semget", call: [64, 0, 1, 0o600] },
    { what: "msgget", call: [68, 0, 0o600] },
    { what: "mq_open", call: [240, "intruder", O_CREAT | O_RDWR, READ_WRITE_OWNER, 0] },
    ...onSockets(listenerFd),
    // CLONE_NEWUSER, for which nobody needs a right; in it others are lost.
    { what: "unshare", call: [272, 0x10000000] },
    { what: "execve", call: [59, "/nonexistent", 0, 0] },
    { what: "execveat", call: [322, AT_FDCWD, "/nonexistent", 0, 0, 0] },
    { what: "clone3", call: [435, 0, 0], refusal: "ENOSYS" },
    { what: "clone", call: [56, SIGCHLD, 0, 0, 0, 0], startsProcess: true },
    { what: "fork", call: [57], startsProcess: true },
    { what: "vfork", call: [58], startsProcess: true },
  ];
}

function onFiles(file: string, directory: string): Attack[] {
  const made = (name: string) => `${directory}/${name}`;
  return [
    { what: "open to write", call: [257, AT_FDCWD, file, O_WRONLY] },
    { what: "open to write, the old call", call: [2, file, O_RDWR] },
    {
      what: "openat2",
      call: [437, AT_FDCWD, file, words(0, 0, 0, 0, 0, 0), 24],
      refusal: "ENOSYS",
    },
    {
      what: "make a file",
      call: [257, AT_FDCWD, made("file"), O_CREAT, READ_WRITE_OWNER],
    },
    {
      what: "make a file without a name",
      call: [257, AT_FDCWD, directory, O_TMPFILE | O_RDWR, READ_WRITE_OWNER],
    },
    { what: "creat", call: [85, made("file"), READ_WRITE_OWNER] },
    { what: "truncate", call: [76, file, 0] },
    { what: "mkdir", call: [83, made("directory"), 0o700] },
    { what: "symlink", call: [88, "there", made("symlink")] },
    { what: "link", call: [86, file, made("link")] },
    { what: "rename", call: [82, made("link"), made("renamed")] },
    { what: "unlink", call: [87, made("renamed")] },
    { what: "chmod", call: [90, file, 0o666] },
    { what: "fchmodat2", call: [452, AT_FDCWD, file, 0o666, 0] },
    { what: "change times", call: [280, AT_FDCWD, file, 0, 0] },
    { what: "setxattr", call: [188, file, "user.intruder", "x", 1, 0] },
    { what: "setxattrat", call: [463, AT_FDCWD, file, 0, "user.intruder", words(0, 0, 0, 0), 16] },
    { what: "file_setattr", call: [469, AT_FDCWD, file, words(0, 0, 0, 0, 0, 0), 24, 0] },
    { what: "open_by_handle_at", call: [304, AT_FDCWD, words(0, 0), 0] },
  ];
}

function onSockets(listenerFd: number): Attack[] {
  return [
    { what: "socket of TCP", call: [41, 2, 1, 0] },
    { what: "socket of Unix", call: [41, 1, 1, 0] },
    { what: "socketpair", call: [53, 1, 1, 0, words(0, 0)] },
    { what: "bind", call: [49, listenerFd, PEER, 16] },
    { what: "connect", call: [42, listenerFd, PEER, 16] },
    { what: "lock a socket's filter", call: [54, listenerFd, 1, 44, words(1), 4] },
    { what: "stop listening", call: [48, listenerFd, 0] },
    { what: "connect by sending", call: [44, listenerFd, "x", 1, MSG_FASTOPEN, PEER, 16] },
    { what: "connect by sendmsg", call: [46, listenerFd, 0, MSG_FASTOPEN] },
  ];
}
