import type { Figure } from "./statistics.ts";

/** How the benchmark `instructions` is run; the others take no notice. */
export interface BenchOptions {
  readonly quick: boolean;
  readonly programs: boolean;
  /** Where the documentation is made of it. */
  readonly save: boolean;
  readonly kernels: readonly string[];
}

export interface BenchReport {
  readonly figures: readonly Figure[];
  /** A line for scripts, printed after all figures. */
  readonly closingLine?: string;
}

type Bench = (options: BenchOptions) => Promise<BenchReport>;

const figures = (measure: () => Promise<Figure[]>): Bench => {
  return async () => ({ figures: await measure() });
};

/** By name. Each loads its own code only: what is loaded besides has been seen to slow a loop down. */
export const BENCHES: Readonly<Record<string, Bench>> = {
  ring: figures(async () => (await import("./ring.ts")).benchRing()),
  intake: figures(async () => (await import("./intake.ts")).benchIntake()),
  events: figures(async () => (await import("./events.ts")).benchEvents()),
  connects: figures(async () => (await import("./connects.ts")).benchConnects()),
  programs: figures(async () => (await import("./programs.ts")).benchPrograms()),
  idle: figures(async () => (await import("./idle.ts")).benchIdle()),
  slowloris: figures(async () => (await import("./slowloris.ts")).benchSlowloris()),
  census: figures(async () => (await import("./census.ts")).benchCensus()),
  streams: figures(async () => (await import("./streams.ts")).benchStreams()),
  instructions: async (options) =>
    (await import("./instructions/bench.ts")).benchInstructions(options),
};
