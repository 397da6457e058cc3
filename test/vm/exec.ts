import { spawn } from "node:child_process";

export interface RunOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
}

/**
 * Runs a program to its end and gives its standard output, as bytes.
 * Throws an error that names the operation, the command, how it ended and its last messages.
 */
export async function runBytes(
  operation: string,
  command: readonly [string, ...string[]],
  options: RunOptions = {},
): Promise<Buffer> {
  const [program, ...args] = command;
  const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  const ending = await new Promise<string>((resolve, reject) => {
    child.once("error", (error) => {
      reject(new Error(`${operation}: cannot run ${program}: ${error.message}`, { cause: error }));
    });
    child.once("close", (code, signal) => resolve(code === 0 ? "" : `${signal ?? `exit ${code}`}`));
  });
  if (ending !== "") {
    const messages = Buffer.concat(stderr).toString().trim().split("\n").slice(-5).join("\n  ");
    throw new Error(`${operation}: ${command.join(" ")}: ${ending}\n  ${messages}`);
  }
  return Buffer.concat(stdout);
}

/** As {@link runBytes}, as text. */
export async function run(
  operation: string,
  command: readonly [string, ...string[]],
  options: RunOptions = {},
): Promise<string> {
  return (await runBytes(operation, command, options)).toString();
}
