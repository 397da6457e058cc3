import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { until } from "./until.ts";

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly done: Promise<Finished>;
  stdout(): string;
  stderr(): string;
}

export const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

/** No variable of the caller's environment changes what a test sees. */
const ENVIRONMENT = { PATH: process.env.PATH };

/** A failed test leaves no process behind; the suites of a busy guest take minutes. */
const LIMIT = { timeout: 1_200_000, killSignal: "SIGKILL" } as const;

/** An emulated guest needs ten seconds, on a busy machine minutes. */
const START_LIMIT_MS = 300_000;

/** For what takes longer than most. */
export interface Limit {
  readonly timeoutMs?: number;
  /** The standard input stays open, for the caller to end. */
  readonly keepsInput?: boolean;
  /** Of the first process. */
  readonly nodeFlags?: readonly string[];
  /** A command, with arguments, that runs another. */
  readonly wrapper?: readonly string[];
}

export function start(
  command: string,
  args: readonly string[],
  env = {},
  input = "",
  { timeoutMs = LIMIT.timeout, keepsInput = false }: Limit = {},
): Running {
  const options = { env: { ...ENVIRONMENT, ...env }, ...LIMIT, timeout: timeoutMs };
  const child = spawn(command, args, options);
  const text = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => {
    text.stdout += chunk.toString("latin1");
  });
  child.stderr.on("data", (chunk: Buffer) => {
    text.stderr += chunk.toString("latin1");
  });
  // Who has ended already reads nothing.
  child.stdin.on("error", () => {});
  if (!keepsInput) child.stdin.end(input);
  const done = new Promise<Finished>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, ...text }));
  });
  return { child, done, stdout: () => text.stdout, stderr: () => text.stderr };
}

export function tuplewatch(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  limit: Limit = {},
): Running {
  const { wrapper = [], nodeFlags = [] } = limit;
  const [command = "", ...before] = [...wrapper, process.execPath, ...nodeFlags];
  return start(command, [...before, MAIN, ...args], env, "", limit);
}

export function curl(...args: string[]): Running {
  return start("curl", ["--silent", "--no-buffer", "--max-time", "30", ...args]);
}

/**
 * `tuplewatch run`, on a free port unless `args` say where, once it serves. Every connect is an event
 * unless they say otherwise: most tests read the journal, and have no stream open.
 */
export async function startDaemonProcess(
  args: readonly string[] = [],
  limit: Limit = {},
): Promise<Running & { readonly url: string }> {
  const address = args.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"];
  const events = args.includes("--connect-events") ? [] : ["--connect-events", "all"];
  const common = ["run", ...address, ...events, "--log-format", "json"];
  const daemon = tuplewatch([...common, ...args], {}, limit);
  const served = () => /"address":"([^"]+)"/.exec(daemon.stderr())?.[1];
  const isUp = () => served() !== undefined || daemon.child.exitCode !== null;
  await until(isUp, "serving", START_LIMIT_MS);
  const url = served();
  if (url === undefined) {
    throw new Error(`tuplewatch run ended early: ${daemon.stderr()}`);
  }
  return { ...daemon, url };
}

/** The child of a daemon that serves. */
export function servingPid(daemon: Running): number {
  const children = childrenOf(daemon);
  assert.equal(children.length, 1, `children of ${daemon.child.pid}: ${children}`);
  return children[0] as number;
}

export function childrenOf({ child: { pid } }: Running): number[] {
  const isChild = (name: string) => statusOf(name).includes(`\nPPid:\t${pid}\n`);
  const names = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && isChild(name));
  return names.map(Number);
}

/** Nothing is read from the rings while `act` goes on; longer than some seconds and it is ended. */
export async function withoutReader<T>(daemon: Running, act: () => T | Promise<T>): Promise<T> {
  const pid = servingPid(daemon);
  process.kill(pid, "SIGSTOP");
  try {
    return await act();
  } finally {
    process.kill(pid, "SIGCONT");
  }
}

/** Both processes of a daemon. */
export function pidsOf(daemon: Running): [watching: number, serving: number] {
  return [daemon.child.pid as number, servingPid(daemon)];
}

/** Empty for a process that has ended. */
function statusOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return "";
  }
}

export type DaemonProcess = Awaited<ReturnType<typeof startDaemonProcess>>;

/** Ends a daemon, which must go well. */
export async function stopDaemon({ child, done }: Running): Promise<void> {
  child.kill("SIGTERM");
  const { code, stderr } = await done;
  assert.equal(code, 0, stderr);
}

/** The daemon of a suite, from before its first test until after its last; call it in a `describe`. */
export function suiteDaemon(args: readonly string[] = [], limit: Limit = {}): DaemonProcess {
  let daemon: DaemonProcess | undefined;
  const running = () => daemon ?? assert.fail("the suite's daemon does not run yet");
  before(async () => {
    daemon = await startDaemonProcess(args, limit);
  });
  after(() => stopDaemon(running()));
  return {
    get url() {
      return running().url;
    },
    get child() {
      return running().child;
    },
    get done() {
      return running().done;
    },
    stdout: () => running().stdout(),
    stderr: () => running().stderr(),
  };
}
