import { mayBootAgain } from "./boot.ts";
import { guestScript } from "./command.ts";
import { type GuestCommand, type GuestResult, runGuest } from "./guest.ts";
import { ensureKernel, type Kernel, ONE_SERIES } from "./kernels.ts";
import { HELP, type Options, readOptions, UsageError } from "./options.ts";
import { broken, judge, type Outcome, summary } from "./outcome.ts";
import { ensurePackages, HARNESS_PACKAGES } from "./packages.ts";
import { linePrefixer } from "./streams.ts";

const say = (line: string) => process.stderr.write(`vm: ${line}\n`);

/** One guest. */
interface Task {
  readonly kernel: Kernel;
  readonly options: Options;
}

const guestName = ({ kernel, options }: Task) =>
  options.systemd ? `${kernel.series} systemd` : kernel.series;

async function boot(task: Task, signal: AbortSignal): Promise<GuestResult> {
  const { kernel, options } = task;
  const prefix = options.kernels.length > 1 ? `[${guestName(task)}] ` : "";
  const out = linePrefixer(prefix, (text) => process.stdout.write(text));
  const err = linePrefixer(prefix, (text) => process.stderr.write(text));
  const raw = prefix === "";
  const command: GuestCommand = {
    script: await guestScript(options, kernel),
    interactive: options.mode === "shell",
    firstProcess: options.systemd ? "systemd" : "own",
    timeoutMs: options.timeoutMs,
    countsInstructions: options.countInstructions,
    stdout: (chunk: Buffer) => (raw ? void process.stdout.write(chunk) : out.push(chunk)),
    stderr: (chunk: Buffer) => (raw ? void process.stderr.write(chunk) : err.push(chunk)),
  };
  const result = await runGuest(kernel, command, signal);
  out.flush();
  err.flush();
  return result;
}

/** Runs a guest; once more if its kernel did not finish booting, or the emulator ended it. */
async function runTask(task: Task, signal: AbortSignal): Promise<Outcome> {
  const { kernel, options } = task;
  const first = await boot(task, signal);
  showConsole(task, first);
  if (!mayBootAgain(first) || options.mode === "shell") return judge(kernel, options, first);
  const when = first.bootMs === undefined ? "while it booted" : "because of the emulation";
  say(`${guestName(task)}: it ${first.ending} ${when}: once more`);
  const second = await boot(task, signal);
  showConsole(task, second);
  const outcome = judge(kernel, options, second);
  return {
    ...outcome,
    remarks: [`booted twice: ${first.ending} ${when} at first`, ...first.oops, ...outcome.remarks],
  };
}

/** Of a guest that ended by itself, or had to be. */
function showConsole(task: Task, { ending, console: lines }: GuestResult): void {
  if (ending === "exited" || ending === "interrupted") return;
  const text = lines.map((line) => `  | ${line}\n`).join("");
  process.stderr.write(`vm: ${guestName(task)}: ${ending}; end of its console:\n${text}`);
}

async function tasksOf(options: Options): Promise<Task[]> {
  const tasks: Task[] = [];
  for (const choice of options.kernels) {
    tasks.push({ kernel: await ensureKernel(choice, options.update, say), options });
  }
  const operated = tasks.find(({ kernel }) => kernel.series === ONE_SERIES);
  if (options.addSystemdGuest && operated !== undefined) {
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
