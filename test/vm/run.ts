import { guestScript } from "./command.ts";
import { type GuestResult, runGuest } from "./guest.ts";
import { ensureKernel, type Kernel } from "./kernels.ts";
import { HELP, type Options, readOptions, UsageError } from "./options.ts";
import { broken, judge, type Outcome, summary } from "./outcome.ts";
import { ensurePackages, HARNESS_PACKAGES } from "./packages.ts";
import { linePrefixer } from "./streams.ts";

const say = (line: string) => process.stderr.write(`vm: ${line}\n`);

async function boot(kernel: Kernel, options: Options, signal: AbortSignal): Promise<GuestResult> {
  const prefix = options.kernels.length > 1 ? `[${kernel.series}] ` : "";
  const out = linePrefixer(prefix, (text) => process.stdout.write(text));
  const err = linePrefixer(prefix, (text) => process.stderr.write(text));
  const raw = prefix === "";
  const command = {
    script: await guestScript(options, kernel),
    interactive: options.mode === "shell",
    withSystemd: options.systemd,
    timeoutMs: options.timeoutMs,
    stdout: (chunk: Buffer) => (raw ? void process.stdout.write(chunk) : out.push(chunk)),
    stderr: (chunk: Buffer) => (raw ? void process.stderr.write(chunk) : err.push(chunk)),
  };
  const result = await runGuest(kernel, command, signal);
  out.flush();
  err.flush();
  return result;
}

/** Runs one kernel; once more if the kernel (and not the command) failed. */
async function runKernel(kernel: Kernel, options: Options, signal: AbortSignal): Promise<Outcome> {
  let result = await boot(kernel, options, signal);
  for (const isRetry of [false, true]) {
    const byKernel = result.ending === "hung" || result.ending === "panicked";
    if (byKernel || result.ending === "time_limit") {
      const lines = result.console.map((line) => `  | ${line}\n`).join("");
      process.stderr.write(`vm: ${kernel.series}: ${result.ending}; end of its console:\n${lines}`);
    }
    if (!byKernel || isRetry || options.mode === "shell") break;
    say(`${kernel.series}: trying once more`);
    result = await boot(kernel, options, signal);
  }
  return judge(kernel, options, result);
}

async function runAll(options: Options, signal: AbortSignal): Promise<Outcome[]> {
  const kernels: Kernel[] = [];
  for (const choice of options.kernels) {
    kernels.push(await ensureKernel(choice, options.update, say));
  }
  const outcomes: Outcome[] = [];
  const queue = [...kernels.entries()];
  async function work(): Promise<void> {
    for (let next = queue.shift(); next && !signal.aborted; next = queue.shift()) {
      const [index, kernel] = next;
      outcomes[index] = await runKernel(kernel, options, signal).catch((error: Error) =>
        broken(kernel, error.message),
      );
    }
  }
  await Promise.all(Array.from({ length: options.jobs }, work));
  return outcomes.filter((one) => one !== undefined);
}

function exitCode(options: Options, outcomes: readonly Outcome[]): number {
  const [first, ...others] = outcomes;
  if (options.mode !== "tests" && first?.code !== undefined && others.length === 0)
    return first.code;
  return outcomes.length > 0 && outcomes.every((one) => one.failed === 0) ? 0 : 1;
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (process.getuid?.() !== 0) throw new Error("run guests: must be root, to share / and install");
  await ensurePackages(HARNESS_PACKAGES, say);
  const stop = new AbortController();
  const interrupt = () => stop.abort();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, interrupt);
  const outcomes = await runAll(options, stop.signal);
  // A command's own output stays alone on the standard output.
  if (options.mode === "tests") process.stdout.write(summary(outcomes));
  if (options.mode === "command") process.stderr.write(summary(outcomes));
  return stop.signal.aborted ? 130 : exitCode(options, outcomes);
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: Error) => {
    say(error.message);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  },
);
