import { isatty } from "node:tty";
import { type Logger, pino, stdTimeFunctions } from "pino";
import type { Config } from "../../config/options.ts";
import { isJournal, withPriority } from "../systemd/journald.ts";
import { openLog } from "./descriptor.ts";
import { LogOutput } from "./log-output.ts";

export interface Log {
  readonly logger: Logger;
  /** For another process that logs to the same place. */
  readonly fd: number;
  /** Lines that nobody will read, because stderr took no more. */
  droppedLines(): number;
}

const STDERR = 2;

/** Logs to stderr, or to what stands for it; stdout stays free for output. */
export async function createLog(
  config: Pick<Config, "logFormat" | "logLevel">,
  stderr: number = STDERR,
): Promise<Log> {
  const isTerminal = isatty(stderr);
  const format = config.logFormat === "auto" ? usualFormat(stderr, isTerminal) : config.logFormat;
  const { fd, writeNow } = openLog(stderr);
  const output = new LogOutput(writeNow, {
    onDropped: (lines) => logger.warn({ lines }, "log lines were dropped: stderr took no more"),
  });
  process.on("exit", () => output.flush());
  const options = {
    level: config.logLevel,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    ...(format !== "journal" && { formatters: { level: (label: string) => ({ level: label }) } }),
  };
  const formatted = await formatter(format, isTerminal);
  const logger = pino(options, { write: (line: string) => output.write(formatted(line)) });
  return { logger, fd, droppedLines: () => output.dropped };
}

function usualFormat(stderr: number, isTerminal: boolean): "pretty" | "journal" | "json" {
  if (isTerminal) return "pretty";
  return isJournal(stderr, process.env) ? "journal" : "json";
}

/** Turns a line of JSON into the text that is written. */
async function formatter(
  format: "pretty" | "journal" | "json",
  isTerminal: boolean,
): Promise<(line: string) => string> {
  if (format === "json") return (line) => line;
  // Loaded when used only: most daemons log JSON.
  const { prettyFactory } = await import("pino-pretty").then((module) => module.default);
  if (format === "pretty") {
    const colorize = isTerminal && !process.env.NO_COLOR;
    return prettyFactory({ colorize, translateTime: "SYS:HH:MM:ss.l" });
  }
  // journald has the time and the level of each line itself.
  const plain = prettyFactory({ colorize: false, singleLine: true, ignore: "time,level" });
  return (line) => withPriority(plain(line), levelOf(line));
}

function levelOf(line: string): number {
  return Number(/^\{"level":(\d+)/.exec(line)?.[1] ?? 30);
}
