import { listNamespaces, NamespaceGoneError, type NetworkNamespace } from "../kernel/namespaces.ts";
import { US_PER_MS } from "../util/units.ts";
import { withTimeout, yieldToEventLoop } from "../util/yielding.ts";
import { type PortCounts, type PortSnapshot, takePortSnapshot } from "./snapshot.ts";

/** Local ports and conntrack tables of all network namespaces. */
export interface PortScan {
  /** On the clock of performance.now(). */
  readonly takenAtMs: number;
  readonly durationMs: number;
  /** The daemon's own namespace comes first, then those with a name. */
  readonly snapshots: readonly PortCounts[];
  /** Namespaces that there are besides, beyond the bound of 256. */
  readonly leftOut: number;
}

/** Where the last one comes from. */
export interface PortScans {
  /** A new scan if the last is old and a new one is soon there, else the last one, if any. */
  latest(): Promise<PortScan | undefined>;
  /** How old the last scan is; undefined before the first. */
  readonly ageMs: number | undefined;
  /** Namespaces that could not be looked at, and scans that failed. */
  readonly failures: number;
}

export interface PortSamplerOptions {
  /** A failure of one namespace, or of the whole scan. Each is counted too. */
  onError(error: unknown): void;
  /** A scan is believed for this long, 10 s by default, or longer if it took much of a CPU. */
  readonly intervalMs?: number;
  /** The part of a core that scans may take; 0.02 by default. */
  readonly maxCpuRatio?: number;
  /**
   * A scan is waited for until it takes this long; by default 500 ms for the first one, 50 ms for
   * those after it: a scrape with the ports of a while ago is better than a late one.
   */
  readonly patienceMs?: number;
}

const INTERVAL_MS = 10_000;
/** Scans take no more than this part of a core, but are never rarer than this. */
const MAX_CPU_RATIO = 0.02;
const MAX_INTERVAL_MS = 60_000;
/**
 * In each scan one of so many namespaces is counted in full, whatever it tells of itself, so that what
 * count.ts may miss is not missed for longer than that many scans.
 */
const SCANS_TO_RECOUNT_ALL = 12;
const FIRST_PATIENCE_MS = 500;
const PATIENCE_MS = 50;

/** Takes a scan when one is asked for and the last is old; never two at once. */
export class PortSampler implements PortScans {
  readonly #options: PortSamplerOptions;
  #latest: PortScan | undefined;
  #taking: Promise<void> | undefined;
  #begunAtMs = Number.NEGATIVE_INFINITY;
  #costMs = 0;
  #scans = 0;
  /** Of the last scan, by inode number; each knows its cookie. */
  #snapshots: ReadonlyMap<number, PortSnapshot> = new Map();
  #failures = 0;
  #stopped = false;

  constructor(options: PortSamplerOptions) {
    this.#options = options;
  }

  /** Namespaces that could not be looked at, and scans that failed. */
  get failures(): number {
    return this.#failures;
  }

  /** How many have been taken. */
  get scans(): number {
    return this.#scans;
  }

  /** How old the last scan is; undefined before the first. */
  get ageMs(): number | undefined {
    return this.#latest && performance.now() - this.#latest.takenAtMs;
  }

  /** A new scan if the last is old and a new one is soon there, else the last one, if any. */
  async latest(): Promise<PortScan | undefined> {
    if (!this.#stopped && performance.now() - this.#begunAtMs >= this.#intervalMs()) {
      this.#begunAtMs = performance.now();
      this.#taking ??= this.#take().finally(() => {
        this.#taking = undefined;
      });
    }
    if (this.#taking !== undefined) await withTimeout(this.#patienceLeftMs(), this.#taking);
    return this.#latest;
  }

  #intervalMs(): number {
    const { intervalMs = INTERVAL_MS, maxCpuRatio = MAX_CPU_RATIO } = this.#options;
    return Math.max(intervalMs, Math.min(this.#costMs / maxCpuRatio, MAX_INTERVAL_MS));
  }

  #patienceLeftMs(): number {
    const usual = this.#latest === undefined ? FIRST_PATIENCE_MS : PATIENCE_MS;
    const { patienceMs = usual } = this.#options;
    return Math.max(0, this.#begunAtMs + patienceMs - performance.now());
  }

  /** Resolves when no scan is being taken; none will be taken any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#taking;
  }

  async #take(): Promise<void> {
    const begunAtMs = performance.now();
    const cpuBefore = process.cpuUsage();
    try {
      const { namespaces, leftOut } = await listNamespaces();
      const snapshots = new Map<number, PortSnapshot>();
      for (const namespace of namespaces) {
        if (this.#stopped) return;
        const snapshot = await this.#snapshot(namespace);
        if (snapshot !== undefined) snapshots.set(namespace.inum, snapshot);
        await yieldToEventLoop();
      }
      const takenAtMs = performance.now();
      const durationMs = takenAtMs - begunAtMs;
      const counts = [...snapshots.values()].map(countsOf);
      this.#latest = { takenAtMs, durationMs, snapshots: counts, leftOut };
      this.#snapshots = snapshots;
      this.#scans++;
    } catch (error) {
      this.#fail(error);
    }
    // With what else the process did meanwhile, which is little.
    const { user, system } = process.cpuUsage(cpuBefore);
    this.#costMs = (user + system) / US_PER_MS;
  }

  async #snapshot(namespace: NetworkNamespace): Promise<PortSnapshot | undefined> {
    const isDue = (namespace.inum + this.#scans) % SCANS_TO_RECOUNT_ALL === 0;
    const last = isDue ? undefined : this.#snapshots.get(namespace.inum);
    try {
      return await takePortSnapshot(namespace, last);
    } catch (error) {
      if (!(error instanceof NamespaceGoneError)) this.#fail(error);
      return undefined;
    }
  }

  #fail(error: unknown): void {
    this.#failures++;
    this.#options.onError(error);
  }
}

/** Without what only its reader needs. */
function countsOf({ range, counted, ...snapshot }: PortSnapshot): PortCounts {
  const { low, high, available } = range;
  return { ...snapshot, range: { low, high, available } };
}
