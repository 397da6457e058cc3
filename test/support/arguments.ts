import { type ParseArgsConfig, parseArgs } from "node:util";

/**
 * The arguments of this process. Ends it where there is nothing to do: `--help` prints `usage`, a
 * mistake prints itself and `usage` with exit code 2.
 */
export function readArguments<T extends ParseArgsConfig>(
  config: T,
  usage: string,
): ReturnType<typeof parseArgs<T>> {
  const args = process.argv.slice(2);
  if (args.includes("--help") || args.includes("-h")) {
    process.stdout.write(usage);
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    return refuse((error as Error).message, usage);
  }
}

/** Ends the process with the exit code for wrong usage. */
export function refuse(mistake: string, usage: string): never {
  process.stderr.write(`${mistake}\n${usage}`);
  process.exit(2);
}
