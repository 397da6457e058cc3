import { guestScript } from "./command.ts";
import { type GuestResult, runGuest } from "./guest.ts";
import { ensureKernel, type Kernel } from "./kernels.ts";
import { HELP, type Options, readOptions, UsageError } from "./options.ts";
import { broken, judge, type Outcome, summary } from "./outcome.ts";
import { ensurePackages, HARNESS_PACKAGES } from "./packages.ts";
import { linePrefixer } from "./streams.ts";

/** One kernel has to do for the tests of test/operations: they are about services, not about hooks. */
const OPERATIONS_SERIES = "6.12";

const say = (line: string) => process.stderr.write(`vm: ${line}\n`);

/** One guest. */
interface Task {
  readonly kernel: Kernel;
  readonly options: Options;
}

const nameOf = ({ kernel, options }: Task) =>
  options.systemd ? `${kernel.series} systemd` : kernel.series;

async function boot(task: Task, signal: AbortSignal): Promise<GuestResult> {
  const { kernel, options } = task;
  const prefix = options.kernels.length > 1 ? `[${nameOf(task)}] ` : "";
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

/** Runs a guest; once more if the kernel (and not the command) failed. */
async function runTask(task: Task, signal: AbortSignal): Promise<Outcome> {
  const { kernel, options } = task;
  let result = await boot(task, signal);
  for (const isRetry of [false, true]) {
    const byKernel = result.ending === "hung" || result.ending === "panicked";
    if (byKernel || result.ending === "time_limit") {
      const lines = result.console.map((line) => `  | ${line}\n`).join("");
      process.stderr.write(`vm: ${nameOf(task)}: ${result.ending}; end of its console:\n${lines}`);
    }
    if (!byKernel || isRetry || options.mode === "shell") break;
    say(`${nameOf(task)}: trying once more`);
    result = await boot(task, signal);
  }
  return judge(kernel, options, result);
}

async function tasksOf(options: Options): Promise<Task[]> {
  const tasks: Task[] = [];
  for (const choice of options.kernels) {
    tasks.push({ kernel: await ensureKernel(choice, options.update, say), options });
  }
  const operated = tasks.find(({ kernel }) => kernel.series === OPERATIONS_SERIES);
  if (options.withOperations && operated !== undefined) {
    tasks.push({ kernel: operated.kernel, options: { ...options, systemd: true } });
  }
  return tasks;
}

async function runAll(options: Options, signal: AbortSignal): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const queue = [...(await tasksOf(options)).entries()];
  async function work(): Promise<void> {
    for (let next = queue.shift(); next && !signal.aborted; next = queue.shift()) {
      const [index, task] = next;
      outcomes[index] = await runTask(task, signal).catch((error: Error) =>
        broken(task.kernel, error.message),
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
