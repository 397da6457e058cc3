import { CommanderError } from "commander";
import { UsageError } from "../config/usage-error.ts";
import { readVersion } from "../daemon/version.ts";
import { reasonOf } from "../util/errno.ts";
import { createProgram } from "./program.ts";

const FAILURE = 1;
const USAGE = 2;

/** Commands are loaded when they are called, so that `--help` stays fast. */
const program = createProgram(readVersion(), {
  run: async (flags) => (await import("./run.ts")).run(flags),
  check: async (options) => (await import("./check.ts")).check(options),
  tail: async (options) => (await import("./tail.ts")).tail(options),
  findings: async (options) => (await import("./findings.ts")).findings(options),
  status: async (options) => (await import("./status.ts")).status(options),
  ports: async (options) => (await import("./ports.ts")).ports(options),
});

/** A reader such as `head` may leave early: that is no failure of ours. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? process.exitCode : FAILURE);
});

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = explain(error);
}

function explain(error: unknown): number {
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? 0 : USAGE;
  }
  const isUsage = error instanceof UsageError;
  const lines = isUsage ? error.problems : [reasonOf(error)];
  for (const line of lines) {
    process.stderr.write(`tuplewatch: ${line}\n`);
  }
  return isUsage ? USAGE : FAILURE;
}
