import { findNamespaces, NamespaceGoneError, type NetworkNamespace } from "../kernel/namespaces.ts";
import { withTimeout } from "../util/yielding.ts";
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
  /** A scan is believed for this long; 10 s by default. */
  readonly intervalMs?: number;
  /**
   * A scan is waited for until it takes this long; by default 500 ms for the first one, 50 ms for
   * those after it: a scrape with the ports of a while ago is better than a late one.
   */
  readonly patienceMs?: number;
}

const INTERVAL_MS = 10_000;
const FIRST_PATIENCE_MS = 500;
const PATIENCE_MS = 50;

/** Takes a scan when one is asked for and the last is old; never two at once. */
export class PortSampler implements PortScans {
  readonly #options: PortSamplerOptions;
  #latest: PortScan | undefined;
  #taking: Promise<void> | undefined;
  #begunAtMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #stopped = false;

  constructor(options: PortSamplerOptions) {
    this.#options = options;
  }

  /** Namespaces that could not be looked at, and scans that failed. */
  get failures(): number {
    return this.#failures;
  }

  /** How old the last scan is; undefined before the first. */
  get ageMs(): number | undefined {
    return this.#latest && performance.now() - this.#latest.takenAtMs;
  }

  /** A new scan if the last is old and a new one is soon there, else the last one, if any. */
  async latest(): Promise<PortScan | undefined> {
    const { intervalMs = INTERVAL_MS } = this.#options;
    if (!this.#stopped && performance.now() - this.#begunAtMs >= intervalMs) {
      this.#begunAtMs = performance.now();
      this.#taking ??= this.#take().finally(() => {
        this.#taking = undefined;
      });
    }
    if (this.#taking !== undefined) await withTimeout(this.#patienceLeftMs(), this.#taking);
    return this.#latest;
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
    try {
      const { namespaces, leftOut } = await findNamespaces();
      const snapshots: PortCounts[] = [];
      for (const namespace of namespaces) {
        if (this.#stopped) return;
        const snapshot = await this.#snapshot(namespace);
        if (snapshot !== undefined) snapshots.push(countsOf(snapshot));
      }
      const takenAtMs = performance.now();
      this.#latest = { takenAtMs, durationMs: takenAtMs - begunAtMs, snapshots, leftOut };
    } catch (error) {
      this.#fail(error);
    }
  }

  async #snapshot(namespace: NetworkNamespace): Promise<PortSnapshot | undefined> {
    try {
      return await takePortSnapshot(namespace);
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
function countsOf({ range, ...snapshot }: PortSnapshot): PortCounts {
  const { low, high, available } = range;
  return { ...snapshot, range: { low, high, available } };
}
