import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { buildInitramfs } from "./initramfs.ts";
import type { Kernel } from "./kernels.ts";
import { PROJECT_DIRECTORY } from "./project.ts";
import { PORTS, startQemu } from "./qemu.ts";
import { REPORT_LINES } from "./report.ts";
import { startShare } from "./share.ts";
import { readLines, readUntilMark } from "./streams.ts";

/** Longest time from start to the command, under TCG on a busy machine. */
const BOOT_LIMIT_MS = 120_000;
/** The guest tells every 2 s that it lives; a kernel silent for so long is taken as hung. */
const SILENCE_LIMIT_MS = 60_000;
/** What a left-over background process may delay the end of the output. */
const OUTPUT_END_LIMIT_MS = 3_000;
const CONSOLE_LINES = 60;

export interface GuestCommand {
  /** Shell script, run with the working tree as the current folder. */
  script: string;
  /** Whether it runs on this process's terminal, without a time limit. */
  interactive: boolean;
  timeoutMs: number;
  stdout: (chunk: Buffer) => void;
  stderr: (chunk: Buffer) => void;
}

/** `time_limit` is a command that took too long; `hung` and `panicked` are the kernel's doing. */
export type Ending = "exited" | "time_limit" | "hung" | "panicked" | "interrupted";

export interface GuestResult {
  ending: Ending;
  /** Exit code of the command; only with `exited`. */
  code?: number;
  /** Lines of the test report that the guest sent. */
  report: string[];
  /** From the start of QEMU until the command ran; absent if it never did. */
  bootMs?: number;
  totalMs: number;
  /** Last lines of the kernel's console. */
  console: string[];
}

interface Progress {
  startMs: number;
  readyMs?: number;
  lastBeatMs: number;
  code?: number;
  report: string[];
}

function note(progress: Progress, line: string): void {
  const [word, rest] = [line.split(" ", 1)[0] ?? "", line.slice(line.indexOf(" ") + 1)];
  progress.lastBeatMs = Date.now();
  if (word === "ready") progress.readyMs = Date.now();
  if (word === "report") progress.report.push(rest);
  if (word === "exit") progress.code = Number(rest);
}

function overdue(progress: Progress, command: GuestCommand): Ending | undefined {
  const now = Date.now();
  if (progress.readyMs === undefined) {
    return now - progress.startMs > BOOT_LIMIT_MS ? "hung" : undefined;
  }
  if (now - progress.lastBeatMs > SILENCE_LIMIT_MS) return "hung";
  if (command.interactive) return undefined;
  return now - progress.readyMs > command.timeoutMs ? "time_limit" : undefined;
}

/** Ends a process for certain, and waits for it. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const force = setTimeout(() => child.kill("SIGKILL"), 3_000);
  await ended;
  clearTimeout(force);
}

async function follow(
  qemu: ChildProcess,
  mark: string,
  command: GuestCommand,
  progress: Progress,
  signal: AbortSignal,
): Promise<Ending> {
  const stream = (port: number) => qemu.stdio[port] as Readable;
  const outputs = Promise.all([
    readUntilMark(stream(PORTS.stdout), mark, command.stdout),
    readUntilMark(stream(PORTS.stderr), mark, command.stderr),
  ]);
  let messages = "";
  qemu.stderr?.on("data", (chunk: Buffer) => {
    messages = (messages + chunk).slice(-4096);
  });
  const ending = await new Promise<Ending>((resolve, reject) => {
    const watch = setInterval(() => {
      const late = overdue(progress, command);
      if (late) finish(() => resolve(late));
    }, 500);
    const interrupt = () => finish(() => resolve("interrupted"));
    function finish(settle: () => void): void {
      clearInterval(watch);
      signal.removeEventListener("abort", interrupt);
      settle();
    }
    signal.addEventListener("abort", interrupt);
    readLines(stream(PORTS.control), (line) => {
      note(progress, line);
      if (progress.code !== undefined) finish(() => resolve("exited"));
    });
    qemu.once("error", (error) => finish(() => reject(error)));
    qemu.once("close", (code) => {
      const failed = new Error(`run QEMU: exit ${code}: ${messages.trim()}`);
      finish(() => (code === 0 ? resolve("panicked") : reject(failed)));
    });
    if (signal.aborted) interrupt();
  });
  if (ending === "exited" && !command.interactive) {
    await Promise.race([outputs, sleep(OUTPUT_END_LIMIT_MS, undefined, { ref: false })]);
  }
  return ending;
}

async function consoleTail(file: string): Promise<string[]> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text.replaceAll("\r", "").trimEnd().split("\n").slice(-CONSOLE_LINES);
}

/**
 * Boots `kernel`, runs the command in it, and ends the guest with all that belongs to it.
 * Throws when the guest could not be started at all; how the run itself ended is in the result.
 */
export async function runGuest(
  kernel: Kernel,
  command: GuestCommand,
  signal: AbortSignal,
): Promise<GuestResult> {
  const directory = await mkdtemp(join(tmpdir(), "tuplewatch-vm-"));
  const children: ChildProcess[] = [];
  try {
    const mark = `\0end ${randomBytes(16).toString("hex")}`;
    const settings = {
      RELEASE: kernel.release,
      KERNEL: kernel.directory,
      PROJECT: PROJECT_DIRECTORY,
      MODE: command.interactive ? "shell" : "command",
      // A shell variable cannot hold the leading NUL: the guest prints it itself.
      END_MARK: mark.slice(1),
      REPORT_LINES,
    };
    const initramfs = join(directory, "initramfs");
    await writeFile(initramfs, await buildInitramfs(kernel, settings, command.script));
    const share = await startShare(directory);
    children.push(share.process);
    const consoleLog = join(directory, "console.log");
    const progress: Progress = { startMs: Date.now(), lastBeatMs: Date.now(), report: [] };
    const qemu = startQemu({
      image: join(kernel.directory, "vmlinuz"),
      initramfs,
      shareSocket: share.socket,
      consoleLog,
      withTerminal: command.interactive,
    });
    children.unshift(qemu);
    const ending = await follow(qemu, mark, command, progress, signal);
    return {
      ending,
      ...(ending === "exited" && progress.code !== undefined ? { code: progress.code } : {}),
      ...(progress.readyMs ? { bootMs: progress.readyMs - progress.startMs } : {}),
      report: progress.report,
      totalMs: Date.now() - progress.startMs,
      console: await consoleTail(consoleLog),
    };
  } finally {
    for (const child of children) await end(child);
    await rm(directory, { recursive: true, force: true });
  }
}
