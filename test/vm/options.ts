import { parseArgs } from "node:util";
import { chooseKernel, KERNEL_CHOICES, type KernelChoice } from "./kernels.ts";

export const HELP = `Runs the tests of test/guest and test/scenarios on Debian's own kernels, in virtual
machines.

  npm run test:vm -- [options] [pattern]
  npm run test:vm -- [options] -- command [argument...]

  pattern           only the test files whose name contains it; if there is none,
                    only the tests whose name matches it (a regular expression)
  -- command        run this in the guests instead of the tests

  --kernel NAME     ${KERNEL_CHOICES.map((one) => one.series ?? one.suite).join(", ")} or newest;
                    may be repeated; also a suite, as trixie
  --all             every kernel of the matrix (the default), and without a pattern --systemd on
                    6.12, too
  --systemd         with systemd as the first process; the tests are those of test/systemd
  --shell           an interactive shell in a guest (with one --kernel)
  --timeout SECONDS limit for the command in each guest (default 3600)
  --jobs N          guests at the same time, 1 or 2 (default 2)
  --count-instructions
                    one emulated CPU whose clock counts what it executes: a nanosecond each
  --update          look for newer kernel packages; otherwise cached ones are used
  --help

A guest sees this machine's files through an overlay: it can write, nothing of it lasts.
Exit status: 0 if all passed, 1 if anything failed, 2 for wrong usage, 130 when interrupted.
With "-- command" on one kernel it is the command's own.
`;

const DEFAULT_TIMEOUT_S = 3600;
const MAX_TIMEOUT_S = 24 * 3600;

export interface Options {
  kernels: KernelChoice[];
  mode: "tests" | "command" | "shell";
  /** For "command": the program and its arguments. */
  command: string[];
  pattern?: string;
  timeoutMs: number;
  jobs: number;
  update: boolean;
  systemd: boolean;
  countInstructions: boolean;
  /** All that there is: the tests of test/systemd after the others. */
  addSystemdGuest: boolean;
  help: boolean;
}

/** An error in how the harness was called. */
export class UsageError extends Error {}

function wholeNumber(flag: string, text: string, max: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > max) {
    throw new UsageError(`${flag}: "${text}" is not a whole number from 1 to ${max}`);
  }
  return value;
}

const FLAGS = {
  kernel: { type: "string", multiple: true },
  all: { type: "boolean", default: false },
  shell: { type: "boolean", default: false },
  systemd: { type: "boolean", default: false },
  "count-instructions": { type: "boolean", default: false },
  timeout: { type: "string", default: String(DEFAULT_TIMEOUT_S) },
  jobs: { type: "string", default: "2" },
  update: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

function parseFlags(args: string[]) {
  try {
    return parseArgs({ args, options: FLAGS, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function chooseKernels(names: string[] | undefined, all: boolean): KernelChoice[] {
  if (!names) return KERNEL_CHOICES.filter((one) => one.inMatrix);
  if (all) throw new UsageError("--all and --kernel exclude each other");
  try {
    return [...new Set(names.map(chooseKernel))];
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** Reads the command line; throws a {@link UsageError} for what makes no sense. */
export function readOptions(argv: readonly string[]): Options {
  const split = argv.indexOf("--");
  const command = split < 0 ? [] : argv.slice(split + 1);
  const { values, positionals } = parseFlags(argv.slice(0, split < 0 ? undefined : split));
  const kernels = chooseKernels(values.kernel, values.all);
  if (split >= 0 && command.length === 0) throw new UsageError("--: a command must follow");
  if (positionals.length > 1) throw new UsageError(`one pattern at most: ${positionals.join(" ")}`);
  if ((values.shell || command.length > 0) && positionals.length > 0) {
    throw new UsageError(`"${positionals[0]}": a pattern goes with tests only`);
  }
  if (values.shell && (command.length > 0 || kernels.length !== 1)) {
    throw new UsageError("--shell: needs exactly one --kernel, and no command");
  }
  const mode = values.shell ? "shell" : command.length > 0 ? "command" : "tests";
  const pattern = positionals[0];
  return {
    kernels,
    mode,
    command,
    ...(pattern ? { pattern } : {}),
    timeoutMs: wholeNumber("--timeout", values.timeout, MAX_TIMEOUT_S) * 1000,
    jobs: wholeNumber("--jobs", values.jobs, 2),
    update: values.update,
    systemd: values.systemd,
    countInstructions: values["count-instructions"],
    addSystemdGuest: mode === "tests" && !values.kernel && !values.systemd && pattern === undefined,
    help: values.help,
  };
}
