import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findProgram, VIRTIOFSD_PATHS } from "./packages.ts";

const START_LIMIT_MS = 20_000;

/**
 * virtiofsd of Debian 12 cannot share read-only, so it gets a mount namespace of its own in which
 * every mount is read-only: what a guest does cannot reach this machine's files. A mount may
 * vanish meanwhile (each "ip netns del" takes one away); only one that stays writable is an error.
 */
const SCRIPT = `set -e
root=$1/root; shift
mount --rbind / "$root"
mount -o remount,bind,ro "$root"
findmnt -rnRo TARGET "$root" | while read -r target; do
  target=$(printf %b "$target")
  mount -o remount,bind,ro "$target" || if mountpoint -q "$target"; then exit 1; fi
done
exec "$@"`;

function arguments_(program: string, source: string, socket: string): string[] {
  const common = [program, `--socket-path=${socket}`];
  // The C program that QEMU shipped up to 7.2, and the Rust program that took its place.
  if (program.includes("/qemu/")) {
    return [...common, "-f", "-o", `source=${source},cache=always,log_level=err`];
  }
  return [...common, `--shared-dir=${source}`, "--cache=always", "--log-level=error"];
}

/** A virtiofsd that serves this machine's root, read-only, to one guest. */
export interface Share {
  process: ChildProcess;
  socket: string;
  messages: () => string;
}

/** Starts the share with its socket in `directory`, and waits until it listens. */
export async function startShare(directory: string): Promise<Share> {
  const root = join(directory, "root");
  const socket = join(directory, "share.sock");
  await mkdir(root);
  const program = findProgram(VIRTIOFSD_PATHS);
  const inNamespace = ["unshare", "--mount", "--propagation", "private", "sh", "-c", SCRIPT, "sh"];
  const child = spawn(
    "setpriv",
    ["--pdeathsig", "KILL", ...inNamespace, directory, ...arguments_(program, root, socket)],
    { stdio: ["ignore", "ignore", "pipe"], detached: true },
  );
  let messages = "";
  child.stderr.on("data", (chunk: Buffer) => {
    messages = (messages + chunk).slice(-4096);
  });
  let failure = "";
  child.once("error", (error) => {
    failure = error.message;
  });
  child.once("exit", (code, signal) => {
    failure = `${signal ?? `exit ${code}`}: ${messages.trim()}`;
  });
  const deadline = Date.now() + START_LIMIT_MS;
  while (!existsSync(socket)) {
    if (failure) throw new Error(`start ${program}: ${failure}`);
    if (Date.now() > deadline) {
      child.kill("SIGKILL");
      throw new Error(`start ${program}: no socket after ${START_LIMIT_MS} ms: ${messages.trim()}`);
    }
    await sleep(20);
  }
  return { process: child, socket, messages: () => messages.trim() };
}
