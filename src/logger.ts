import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from "pino";
import type { Config } from "./config/options.ts";
import { isJournal, withPriority } from "./supervise/journald.ts";

const STDERR = 2;

/**
 * Logs to stderr, each line written before the call returns: an early exit loses none, and stdout
 * stays free for output.
 */
export async function createLogger(
  config: Pick<Config, "logFormat" | "logLevel">,
  isTerminal: boolean = process.stderr.isTTY === true,
): Promise<Logger> {
  const format = config.logFormat === "auto" ? usualFormat(isTerminal) : config.logFormat;
  const options = {
    level: config.logLevel,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    ...(format !== "journal" && { formatters: { level: (label: string) => ({ level: label }) } }),
  };
  return pino(options, await streamOf(format, isTerminal));
}

function usualFormat(isTerminal: boolean): "pretty" | "journal" | "json" {
  if (isTerminal) return "pretty";
  return isJournal(STDERR, process.env) ? "journal" : "json";
}

async function streamOf(
  format: "pretty" | "journal" | "json",
  isTerminal: boolean,
): Promise<DestinationStream> {
  const stderr = destination({ fd: STDERR, sync: true });
  if (format === "json") return stderr;
  // Loaded when used only: most daemons log JSON.
  const { prettyFactory } = await import("pino-pretty").then((module) => module.default);
  if (format === "pretty") {
    const colorize = isTerminal && !process.env.NO_COLOR;
    const pretty = prettyFactory({ colorize, translateTime: "SYS:HH:MM:ss.l" });
    return { write: (line) => stderr.write(pretty(line)) };
  }
  // journald has the time and the level of each line itself.
  const plain = prettyFactory({ colorize: false, singleLine: true, ignore: "time,level" });
  return { write: (line) => stderr.write(withPriority(plain(line), levelOf(line))) };
}

function levelOf(line: string): number {
  return Number(/^\{"level":(\d+)/.exec(line)?.[1] ?? 30);
}
