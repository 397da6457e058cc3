import type { ProbeName } from "../../../src/config/options.ts";
import { PROBE_NAMES } from "../../../src/config/options.ts";

/** What is repeated: see cycles.c. */
export const CYCLES = [
  "tcp_ok",
  "tcp_refused",
  "udp_connect",
  "udp_nat",
  "pingpong",
  "http_keepalive",
  "http_new",
] as const;

export type Cycle = (typeof CYCLES)[number];

/** How many times in a round; the longer a cycle, the fewer. */
export const COUNTS: Readonly<Record<Cycle, number>> = {
  tcp_ok: 1000,
  tcp_refused: 1000,
  udp_connect: 2000,
  udp_nat: 1000,
  pingpong: 2000,
  http_keepalive: 600,
  http_new: 400,
};

/** What runs beside the cycles: nothing, the daemon with some arguments, or another tool. */
export interface Setup {
  readonly name: string;
  readonly daemon?: readonly string[];
  readonly peer?: readonly [string, ...string[]];
  readonly cycles: readonly Cycle[];
}

export const NOTHING = "nothing";
export const ALL_PROBES = "all probes";
export const TCPCONNECT = "tcpconnect";
export const CONNTRACK_EVENTS = "conntrack -E";

/** The network namespace of the cycle behind NAT. */
export const NAT_NETNS = "bench-nat";

/** What libbpf-tools' tcpconnect tells, in bpftrace's words: a line per connect(). */
const BPFTRACE = `
tracepoint:sock:inet_sock_set_state /args->newstate == 2 && args->protocol == 6/ {
  @pid[args->skaddr] = pid; @comm[args->skaddr] = comm;
}
tracepoint:sock:inet_sock_set_state /args->oldstate == 2 && @pid[args->skaddr]/ {
  printf("%d %s %s:%d %s:%d\\n", @pid[args->skaddr], @comm[args->skaddr], ntop(args->saddr),
    args->sport, ntop(args->daddr), args->dport);
  delete(@pid[args->skaddr]); delete(@comm[args->skaddr]);
}`;

const QUICK_CYCLES: readonly Cycle[] = [
  "tcp_ok",
  "tcp_refused",
  "udp_nat",
  "http_new",
  "http_keepalive",
];

const TCP_CYCLES: readonly Cycle[] = ["tcp_ok", "tcp_refused"];

/** One kernel, and what a budget is for. */
export const QUICK_PLAN: readonly Setup[] = [
  { name: NOTHING, cycles: QUICK_CYCLES },
  { name: ALL_PROBES, daemon: [], cycles: QUICK_CYCLES },
  { name: TCPCONNECT, peer: [TCPCONNECT], cycles: ["tcp_ok"] },
];

const only = (probe: ProbeName): Setup => ({
  name: `${probe} alone`,
  daemon: ["--probes", probe],
  cycles: CYCLES,
});

const connectEvents = (which: string): Setup => ({
  name: `all probes, --connect-events ${which}`,
  daemon: ["--connect-events", which],
  cycles: ["tcp_ok", "tcp_refused", "udp_connect", "http_new"],
});

export const FULL_PLAN: readonly Setup[] = [
  { name: NOTHING, cycles: CYCLES },
  { name: ALL_PROBES, daemon: [], cycles: CYCLES },
  { name: "all probes, kprobe", daemon: ["--backend", "kprobe"], cycles: CYCLES },
  ...PROBE_NAMES.map(only),
  ...["all", "failed", "none"].map(connectEvents),
  { name: TCPCONNECT, peer: [TCPCONNECT], cycles: TCP_CYCLES },
  { name: "bpftrace", peer: ["bpftrace", "-e", BPFTRACE], cycles: TCP_CYCLES },
  {
    name: CONNTRACK_EVENTS,
    peer: ["ip", "netns", "exec", NAT_NETNS, "conntrack", "-E"],
    cycles: ["udp_nat"],
  },
];

/** Instructions per cycle of one setup: the median round, and how far the rounds lie apart. */
export interface Measured {
  readonly cycle: Cycle;
  readonly instructions: number;
  readonly spread: number;
}

/** What one program did in one cycle. */
export interface ProgramCost {
  readonly cycle: Cycle;
  readonly probe: string;
  readonly program: string;
  readonly runs: number;
  readonly instructionsPerRun: number;
}

export interface SetupResult {
  readonly name: string;
  /** The probes that were attached, each with its backend. */
  readonly attached: Readonly<Record<string, string>>;
  readonly measured: readonly Measured[];
  readonly programs: readonly ProgramCost[];
}
