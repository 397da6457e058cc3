import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from "pino";
import type { Config } from "./config/options.ts";

const STDERR = 2;

/**
 * Logs to stderr, each line written before the call returns: an early exit loses none, and stdout
 * stays free for output.
 */
export async function createLogger(
  config: Pick<Config, "logFormat" | "logLevel">,
  isTerminal: boolean = process.stderr.isTTY === true,
): Promise<Logger> {
  const pretty = config.logFormat === "pretty" || (config.logFormat === "auto" && isTerminal);
  const stream = pretty ? await prettyStream(isTerminal) : destination({ fd: STDERR, sync: true });
  const options = {
    level: config.logLevel,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return pino(options, stream);
}

/** Loaded when used only: most daemons log JSON. */
async function prettyStream(isTerminal: boolean): Promise<DestinationStream> {
  const { prettyFactory } = await import("pino-pretty").then((module) => module.default);
  const colorize = isTerminal && !process.env.NO_COLOR;
  const format = prettyFactory({ colorize, translateTime: "SYS:HH:MM:ss.l" });
  const stderr = destination({ fd: STDERR, sync: true });
  return { write: (line) => stderr.write(format(line)) };
}
