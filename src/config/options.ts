import { type Listener, listeners } from "./listen-setting.ts";
import type { ValueType } from "./values.ts";
import {
  absolutePath,
  choice,
  choices,
  filePath,
  hostList,
  integer,
  size,
  userName,
} from "./values.ts";

export const PROBE_NAMES = [
  "challenge_ack",
  "conntrack_insert_failed",
  "connect",
  "port_bind",
  "stale_flow",
] as const;

export type ProbeName = (typeof PROBE_NAMES)[number];

export const BACKEND_NAMES = [
  "fentry",
  "kprobe",
  "drop_tracepoint",
  "syscall_tracepoint",
  "tcp_state",
  "counters",
] as const;

const MIB = 1024 ** 2;

/** `fallback` is the default, written as a user would write it. */
export interface OptionSpec<T> {
  readonly type: ValueType<T>;
  readonly fallback: string;
  readonly help: string;
}

function option<T>(type: ValueType<T>, fallback: string, help: string): OptionSpec<T> {
  return { type, fallback, help };
}

/**
 * The one table of settings: `journalBytes` is the flag `--journal-bytes`, the variable
 * `TUPLEWATCH_JOURNAL_BYTES` and the file key `journal_bytes`.
 */
export const OPTIONS = {
  listen: option(listeners, "127.0.0.1:5961", "Where to serve HTTP"),
  webConfig: option(
    filePath("none"),
    "none",
    "TLS and passwords, in the format of Prometheus' web.config.file",
  ),
  bearerTokenFile: option(
    filePath("none"),
    "none",
    "Bearer tokens that clients may show, one a line, as they are or as sha256:HEX",
  ),
  allowUnauthenticated: option(
    choice(["off", "on"]),
    "off",
    "Serve on other addresses than loopback without authentication",
  ),
  allowedHosts: option(
    hostList,
    "auto",
    "Names that clients may use for this daemon (auto: on loopback only its own, else any)",
  ),
  probes: option(choices(PROBE_NAMES), "all", "Probes to run"),
  backend: option(
    choice(["auto", ...BACKEND_NAMES]),
    "auto",
    "How to hook the kernel (auto takes the best that it permits)",
  ),
  connectEvents: option(
    choice(["auto", "all", "failed", "none"]),
    "auto",
    "Which connect() calls become events; all are counted (auto: while nobody streams them, not " +
      "those that went as they should)",
  ),
  maxEventsPerSecond: option(
    integer(0, 100_000_000),
    "5000",
    "Limit per probe in the kernel (the rest is counted), 0 for none",
  ),
  ringBytes: option(
    size(4096, 512 * MIB, "power_of_two"),
    "1MiB",
    "Ring buffer between kernel and daemon, per probe",
  ),
  journalEvents: option(
    integer(1, 10_000_000),
    "20000",
    "Recent events kept for ?since= and slow readers",
  ),
  journalBytes: option(size(64 * 1024, 4096 * MIB), "16MiB", "Memory bound of those events"),
  findingQuietSeconds: option(
    integer(1, 86_400),
    "300",
    "A finding closes when nothing more was seen of it for this long",
  ),
  maxClients: option(integer(1, 10_000), "64", "Concurrent /events streams"),
  cgroup: option(absolutePath("auto"), "auto", "cgroup2 directory whose processes are watched"),
  programStats: option(
    choice(["off", "on"]),
    "off",
    "Measure the run time of the BPF programs (two clock reads per run)",
  ),
  user: option(
    userName,
    "auto",
    "Whom a daemon started as root becomes once all is attached, a user that nobody else has " +
      "(auto: tuplewatch if there is such a user, else an unused number)",
  ),
  keepCapabilities: option(
    choice(["needed", "none", "all"]),
    "needed",
    "What is kept then (needed: for other network namespaces, port holders and modules)",
  ),
  bpfDir: option(absolutePath("auto"), "auto", "Directory of the compiled BPF programs"),
  logLevel: option(
    choice(["fatal", "error", "warn", "info", "debug", "trace", "silent"]),
    "info",
    "Least severe messages to log, to stderr",
  ),
  logFormat: option(
    choice(["auto", "json", "pretty", "journal"]),
    "auto",
    "How to log (auto: pretty on a terminal, journal for journald, else JSON)",
  ),
} as const;

export type OptionName = keyof typeof OPTIONS;

/** All settings, checked. Sizes in bytes, rates per second. */
export type Config = {
  readonly [K in OptionName]: (typeof OPTIONS)[K] extends OptionSpec<infer T> ? T : never;
};

/** Those of a daemon, which knows its addresses. */
export type DaemonConfig = Omit<Config, "listen"> & { readonly listen: readonly Listener[] };

export const OPTION_NAMES = Object.keys(OPTIONS) as OptionName[];

/** The variable that names the configuration file; the flag is `--config`. */
export const CONFIG_FILE_VARIABLE = "TUPLEWATCH_CONFIG";

/** journalBytes -> journal_bytes */
export function fileKey(name: OptionName): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** journalBytes -> --journal-bytes */
export function flagName(name: OptionName): string {
  return `--${fileKey(name).replaceAll("_", "-")}`;
}

/** journalBytes -> TUPLEWATCH_JOURNAL_BYTES */
export function variableName(name: OptionName): string {
  return `TUPLEWATCH_${fileKey(name).toUpperCase()}`;
}
