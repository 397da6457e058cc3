import type { RejectedBackend } from "../attach/attach.ts";
import type { Blindness } from "../attach/blindness.ts";
import type { KernelCounters } from "../attach/counters.ts";
import type { DaemonConfig } from "../config/options.ts";
import type { Access } from "../http/access/access.ts";
import type { OpenListener } from "../http/listen/open.ts";
import type { Privileges } from "../http/openapi/status.schema.ts";
import type { ProgramRuns } from "../intake/program-metrics.ts";
import type { ConntrackStats } from "../kernel/conntrack-stats.ts";
import type { PortScan } from "../ports/sampler.ts";
import type { ConnectTally } from "../probes/connect_tally.ts";
import type { PortBindTally } from "../probes/port_bind_tally.ts";

/** Descriptors of the serving process. The second is for questions whose answer it waits for. */
export const CHANNEL_FD = 3;
export const WAITING_CHANNEL_FD = 4;
/** Not 2, since libuv takes O_NONBLOCK from those up to there (uv__process_child_init). */
export const LOG_FD = 5;

/** A probe as it is in the kernel. */
export interface ProbeAnswer {
  readonly probe: string;
  /** Undefined while none is attached. */
  readonly backend: string | undefined;
  readonly rejected: readonly RejectedBackend[];
  readonly counters: KernelCounters;
  readonly blindness: Blindness | undefined;
}

/** Answer to `state`, and news whenever a probe changes its backend. */
export interface StateAnswer {
  /** All that this kernel permits is attached. */
  readonly isAttached: boolean;
  /** Version of the library. */
  readonly libbpf: string;
  readonly probes: readonly ProbeAnswer[];
  readonly logLinesDropped: number;
  /** Undefined until all is attached. */
  readonly privileges: Privileges | undefined;
  /** How often the serving process has been started again. */
  readonly restarts: number;
}

/** Answer to `kernel`. */
export interface KernelAnswer {
  readonly programs: readonly ProgramRuns[];
  readonly connects: readonly ConnectTally[];
  readonly portBinds: readonly PortBindTally[];
  /** Undefined while conntrack is not loaded, or where it cannot be read. */
  readonly conntrack: ConntrackStats | undefined;
}

/** Answer to `scan`. */
export interface ScanAnswer {
  /** Of the scan; 0 before the first. */
  readonly number: number;
  /** Undefined where whoever asks has it already. */
  readonly scan: PortScan | undefined;
  readonly ageMs: number | undefined;
  readonly failures: number;
}

/** The body of an answer's frame. */
export type Answer = { readonly answer: unknown } | { readonly error: string };

/** A ring that the serving process reads. */
export interface GivenRing {
  readonly fd: number;
  readonly sizeBytes: number;
}

export interface GivenProbe {
  readonly probe: string;
  /** Undefined where none could be made. */
  readonly ring: GivenRing | undefined;
}

/** The daemon's start: RFC 3339, and milliseconds since the machine booted. */
export interface Started {
  readonly at: string;
  readonly bootMs: number;
}

/** What is given to the serving process at its start, once. */
export interface Hello {
  readonly config: DaemonConfig;
  readonly access: Access;
  readonly listeners: readonly Omit<OpenListener, "removeFile">[];
  readonly probes: readonly GivenProbe[];
  readonly cgroupPaths: GivenRing | undefined;
  /** The file in which it keeps count over its lives. */
  readonly lifeFd: number;
  readonly started: Started;
  /** Whom it has to become; undefined: it is who it is to be. */
  readonly user: { readonly uid: number; readonly gid: number } | undefined;
}

/** The same for whoever waits. */
export interface WaitingNews {
  readonly isBusy: boolean;
}

/** What is told without a question; `busy`: no question is answered until the next `state`. */
export type News =
  | { readonly news: "hello"; readonly hello: Hello }
  | { readonly news: "busy" }
  | { readonly news: "state"; readonly state: StateAnswer }
  | { readonly news: "access"; readonly access: Access }
  | { readonly news: "settings"; readonly settings: Settings }
  | { readonly news: "stop" };

/** Those that change while the daemon runs. */
export type Settings = Pick<
  DaemonConfig,
  "findingQuietSeconds" | "journalBytes" | "journalEvents" | "logLevel"
>;
