import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { buildInitramfs } from "./initramfs.ts";
import type { Kernel } from "./kernels.ts";
import { type Ending, Progress } from "./progress.ts";
import { PROJECT_DIRECTORY } from "./project.ts";
import { portStream, startQemu } from "./qemu.ts";
import { REPORT_LINES } from "./report.ts";
import { type Share, startShare } from "./share.ts";
import { readLines, readUntilMark } from "./streams.ts";

/** What a left-over background process may delay the end of the output. */
const OUTPUT_END_LIMIT_MS = 3_000;
const STOP_LIMIT_MS = 3_000;
const WATCH_INTERVAL_MS = 500;
const CONSOLE_LINES = 60;
/** As die() and panic() begin what they say, after the time. */
const OOPS =
  /^\[[ .\d]+\] (?:.*\b(?:Oops|BUG|int3|general protection fault|stack segment)\b.*: |Kernel panic)/;
const OOPS_LINES = 12;
const MESSAGE_LENGTH = 4096;

export interface GuestCommand {
  /** Shell script, run with the working tree as the current folder. */
  script: string;
  /** Whether it runs on this process's terminal, without a time limit. */
  interactive: boolean;
  /** The guest's process 1: guest-init.sh or systemd. */
  firstProcess: "own" | "systemd";
  timeoutMs: number;
  /** See `Machine` of qemu.ts. */
  countsInstructions: boolean;
  stdout: (chunk: Buffer) => void;
  stderr: (chunk: Buffer) => void;
}

export interface GuestResult {
  ending: Ending;
  /** Exit code of the command; only with `exited`. */
  code: number | undefined;
  /** Lines of the test report that the guest sent. */
  report: string[];
  /** From the start of QEMU until the command ran; undefined if it never did. */
  bootMs: number | undefined;
  totalMs: number;
  /** Last lines of the kernel's console. */
  console: string[];
  /** What it said where something went wrong in the kernel first. */
  oops: string[];
}

/** Ends a process for certain, and waits for it. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const force = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS);
  await ended;
  clearTimeout(force);
}

/** Waits until the command, the guest, its time or the user's patience ends. */
function waitForEnding(
  qemu: ChildProcess,
  share: Share,
  progress: Progress,
  timeoutMs: number | undefined,
  signal: AbortSignal,
): Promise<Ending> {
  let messages = "";
  qemu.stderr?.on("data", (chunk: Buffer) => {
    messages = (messages + chunk).slice(-MESSAGE_LENGTH);
  });
  return new Promise<Ending>((resolve, reject) => {
    const interrupt = () => finish("interrupted");
    const watch = setInterval(() => {
      const reason = progress.overdue(timeoutMs);
      if (reason) finish(reason);
    }, WATCH_INTERVAL_MS);
    function finish(ending: Ending | Error): void {
      clearInterval(watch);
      signal.removeEventListener("abort", interrupt);
      if (ending instanceof Error) reject(ending);
      else resolve(ending);
    }
    signal.addEventListener("abort", interrupt);
    if (signal.aborted) interrupt();
    readLines(portStream(qemu, "control"), (line) => {
      progress.note(line);
      if (progress.code !== undefined) finish("exited");
    });
    qemu.once("error", (error) => finish(new Error(`start QEMU: ${error.message}`)));
    qemu.once("close", (code, by) => {
      const failed = new Error(`run QEMU: ${by ?? `exit ${code}`}: ${messages.trim()}`);
      finish(code === 0 ? "panicked" : failed);
    });
    share.process.once("exit", (code, by) => {
      // It also ends when QEMU does, which then has its say first.
      const text = `share / with the guest: virtiofsd ended: ${by ?? `exit ${code}`}`;
      setTimeout(() => finish(new Error(`${text} ${share.messages()}`.trim())), 1_000);
    });
  });
}

async function follow(
  qemu: ChildProcess,
  share: Share,
  mark: string,
  command: GuestCommand,
  progress: Progress,
  signal: AbortSignal,
): Promise<Ending> {
  const outputs = Promise.all([
    readUntilMark(portStream(qemu, "stdout"), mark, command.stdout),
    readUntilMark(portStream(qemu, "stderr"), mark, command.stderr),
  ]);
  const timeoutMs = command.interactive ? undefined : command.timeoutMs;
  const ending = await waitForEnding(qemu, share, progress, timeoutMs, signal);
  if (ending === "exited" && !command.interactive) {
    await Promise.race([outputs, sleep(OUTPUT_END_LIMIT_MS, undefined, { ref: false })]);
  }
  return ending;
}

async function readConsole(file: string): Promise<Pick<GuestResult, "console" | "oops">> {
  const text = await readFile(file, "utf8").catch(() => "");
  const lines = text.replaceAll("\r", "").trimEnd().split("\n");
  const first = lines.findIndex((line) => OOPS.test(line));
  return {
    console: lines.slice(-CONSOLE_LINES),
    oops: first < 0 ? [] : lines.slice(first, first + OOPS_LINES),
  };
}

function guestSettings(kernel: Kernel, command: GuestCommand, mark: string) {
  return {
    RELEASE: kernel.release,
    KERNEL: kernel.directory,
    PROJECT: PROJECT_DIRECTORY,
    MODE: command.interactive ? "shell" : "command",
    INIT: command.firstProcess,
    // A shell variable cannot hold the leading NUL: the guest prints it itself.
    END_MARK: mark.slice(1),
    REPORT_LINES,
  };
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
    const initramfs = join(directory, "initramfs");
    const settings = guestSettings(kernel, command, mark);
    await writeFile(initramfs, await buildInitramfs(kernel, settings, command.script));
    const share = await startShare(directory);
    children.push(share.process);
    const consoleLog = join(directory, "console.log");
    const progress = new Progress(command.countsInstructions);
    const qemu = startQemu({
      image: join(kernel.directory, "vmlinuz"),
      initramfs,
      shareSocket: share.socket,
      consoleLog,
      withTerminal: command.interactive,
      countsInstructions: command.countsInstructions,
    });
    children.unshift(qemu);
    const ending = await follow(qemu, share, mark, command, progress, signal);
    return {
      ending,
      code: ending === "exited" ? progress.code : undefined,
      bootMs: progress.readyMs && progress.readyMs - progress.startMs,
      report: progress.report,
      totalMs: Date.now() - progress.startMs,
      ...(await readConsole(consoleLog)),
    };
  } finally {
    for (const child of children) await stop(child);
    await rm(directory, { recursive: true, force: true });
  }
}
