import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { until } from "./server.ts";

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

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

/** No variable of the caller's environment changes what a test sees. */
const ENVIRONMENT = { PATH: process.env.PATH };

/** A failed test leaves no process behind. */
const LIMIT = { timeout: 300_000, killSignal: "SIGKILL" } as const;

/** An emulated guest that has just booted needs 10 s to read the program, more beside others. */
const START_LIMIT_MS = 90_000;

/** For what takes longer than most. */
export interface Limit {
  readonly timeoutMs?: number;
  /** A command, with arguments, that runs another. */
  readonly wrapper?: readonly string[];
}

export function start(
  command: string,
  args: readonly string[],
  env = {},
  input = "",
  { timeoutMs = LIMIT.timeout }: Limit = {},
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
  child.stdin.end(input);
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
  const [command = process.execPath, ...before] = [...(limit.wrapper ?? []), process.execPath];
  return start(command, [...before, MAIN, ...args], env, "", limit);
}

export function curl(...args: string[]): Running {
  return start("curl", ["--silent", "--no-buffer", "--max-time", "30", ...args]);
}

/** `tuplewatch run` on a free port, once it serves. */
export async function startDaemonProcess(
  args: readonly string[] = [],
  limit: Limit = {},
): Promise<Running & { readonly url: string }> {
  const common = ["run", "--listen", "127.0.0.1:0", "--log-format", "json"];
  const daemon = tuplewatch([...common, ...args], {}, limit);
  const address = () => /"address":"([^"]+)"/.exec(daemon.stderr())?.[1];
  const isUp = () => address() !== undefined || daemon.child.exitCode !== null;
  await until(isUp, "serving", START_LIMIT_MS);
  const url = address();
  if (url === undefined) {
    throw new Error(`tuplewatch run ended early: ${daemon.stderr()}`);
  }
  return { ...daemon, url };
}
