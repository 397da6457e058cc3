import { readdirSync, readFileSync } from "node:fs";
import { openFilesLimit } from "libbpf-ts";
import type { Logger } from "pino";
import { isOutOfDescriptors, reasonOf } from "../util/errno.ts";

/** For rings, programs, files and the server's own sockets. */
const RESERVED = 256;

/** How many connections RLIMIT_NOFILE leaves room for; Node has raised it to the hard limit. */
export function connectionsThatFit(limits = readLimits()): number {
  return Math.max(16, limitIn(limits) - RESERVED);
}

function readLimits(): string {
  return readFileSync("/proc/self/limits", "utf8");
}

function limitIn(limits: string): number {
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
  return soft === undefined || soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft);
}

/** Connections leave so many for files of /proc, netlink sockets and certificates. */
const KEPT_FREE = 24;

const LOOK_MS = 1000;

/** The same complaint comes no sooner again. */
const COMPLAIN_MS = 60_000;

/** What the connections are to the reserve. */
interface Holder {
  readonly open: number;
  /** Ends one; false if there is none. */
  giveUp(): boolean;
}

/**
 * Keeps connections from using up the descriptors. At the limit itself libuv would take connections
 * and close them unseen (uv__emfile_trick), or fail again and again, and the rest of the daemon
 * could open nothing.
 */
export class DescriptorReserve {
  readonly #logger: Logger;
  readonly #timer: NodeJS.Timeout;
  /** In use by everything but connections, as it was counted last; undefined before the first. */
  #others: number | undefined;
  #lastLimit = Number.POSITIVE_INFINITY;
  #complainedMs = Number.NEGATIVE_INFINITY;

  /** Looks each second: what others hold changes, and the limit may be lowered from outside. */
  constructor(logger: Logger, connections: () => Holder) {
    this.#logger = logger;
    this.#timer = setInterval(() => this.#restore(connections()), LOOK_MS);
    this.#timer.unref();
  }

  /** Whether one more connection takes a descriptor of the reserve. */
  isTouchedBy(connections: number): boolean {
    if (this.#others === undefined) this.#count(connections);
    if (this.#free(connections) >= KEPT_FREE) return false;
    this.complain("accept a connection: too few descriptors are left");
    return true;
  }

  /** @param problem names the operation, its object and what is wrong. */
  complain(problem: string): void {
    const now = performance.now();
    if (now - this.#complainedMs < COMPLAIN_MS) return;
    this.#complainedMs = now;
    const limit = this.#limit();
    this.#logger.error({ limit, keptFree: KEPT_FREE }, `${problem} (RLIMIT_NOFILE is ${limit})`);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #free(connections: number): number {
    return this.#limit() - (this.#others ?? 0) - connections;
  }

  #limit(): number {
    try {
      return openFilesLimit();
    } catch {
      // A sandbox may forbid prlimit64(2), by which glibc does it: then as of the last look.
      return this.#lastLimit;
    }
  }

  #restore(connections: Holder): void {
    while (!this.#count(connections.open) || this.#free(connections.open) < KEPT_FREE) {
      if (!connections.giveUp()) return;
      this.complain("keep descriptors for files and netlink sockets: too few are left");
    }
  }

  /** False if not even that could be opened. */
  #count(connections: number): boolean {
    try {
      this.#lastLimit = limitIn(readLimits());
      this.#others = readdirSync("/proc/self/fd").length - 1 - connections;
      return true;
    } catch (error) {
      if (!isOutOfDescriptors(error)) return true;
      this.complain(reasonOf(error));
      return false;
    }
  }
}
