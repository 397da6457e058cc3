import type { Figure } from "./statistics.ts";

/** By name. Each loads its own code only: what is loaded besides has been seen to slow a loop down. */
export const BENCHES: Readonly<Record<string, () => Promise<Figure[]>>> = {
  ring: async () => (await import("./ring.ts")).benchRing(),
  connects: async () => (await import("./connects.ts")).benchConnects(),
  programs: async () => (await import("./programs.ts")).benchPrograms(),
  idle: async () => (await import("./idle.ts")).benchIdle(),
  slowloris: async () => (await import("./slowloris.ts")).benchSlowloris(),
  streams: async () => (await import("./streams.ts")).benchStreams(),
};
