import { findNamespaces, NamespaceGoneError, type NetworkNamespace } from "./namespaces.ts";
import { type PortSnapshot, takePortSnapshot } from "./ports.ts";

/** Local ports and conntrack tables of all network namespaces. */
export interface Census {
  /** On the clock of performance.now(). */
  readonly takenAtMs: number;
  readonly durationMs: number;
  /** The daemon's own namespace comes first, then those with a name. */
  readonly snapshots: readonly PortSnapshot[];
  /** Namespaces that there are besides, beyond the bound of 256. */
  readonly leftOut: number;
}

export interface CensusOptions {
  /** A failure of one namespace, or of the whole census. Each is counted too. */
  onError(error: unknown): void;
  /** A census is believed for this long; 10 s by default. */
  readonly intervalMs?: number;
  /**
   * A census is waited for until it takes this long; by default 500 ms for the first one, 50 ms for
   * those after it: a scrape with the ports of a while ago is better than a late one.
   */
  readonly patienceMs?: number;
}

const INTERVAL_MS = 10_000;
const FIRST_PATIENCE_MS = 500;
const PATIENCE_MS = 50;

/** Takes a census when one is asked for and the last is old; never two at once. */
export class CensusTaker {
  readonly #options: CensusOptions;
  #latest: Census | undefined;
  #taking: Promise<void> | undefined;
  #begunAtMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #stopped = false;

  constructor(options: CensusOptions) {
    this.#options = options;
  }

  /** Namespaces that could not be looked at, and censuses that failed. */
  get failures(): number {
    return this.#failures;
  }

  /** How old the last census is; undefined before the first. */
  get ageMs(): number | undefined {
    return this.#latest && performance.now() - this.#latest.takenAtMs;
  }

  /** A new census if the last is old and a new one is soon there, else the last one, if any. */
  async latest(): Promise<Census | undefined> {
    const { intervalMs = INTERVAL_MS } = this.#options;
    if (!this.#stopped && performance.now() - this.#begunAtMs >= intervalMs) {
      this.#begunAtMs = performance.now();
      this.#taking ??= this.#take().finally(() => {
        this.#taking = undefined;
      });
    }
    if (this.#taking !== undefined) await atMost(this.#patienceLeftMs(), this.#taking);
    return this.#latest;
  }

  #patienceLeftMs(): number {
    const usual = this.#latest === undefined ? FIRST_PATIENCE_MS : PATIENCE_MS;
    const { patienceMs = usual } = this.#options;
    return Math.max(0, this.#begunAtMs + patienceMs - performance.now());
  }

  /** Resolves when no census is being taken; none will be taken any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#taking;
  }

  async #take(): Promise<void> {
    const begunAtMs = performance.now();
    try {
      const { namespaces, leftOut } = await findNamespaces();
      const snapshots: PortSnapshot[] = [];
      for (const namespace of namespaces) {
        if (this.#stopped) return;
        const snapshot = await this.#snapshot(namespace);
        if (snapshot !== undefined) snapshots.push(snapshot);
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

async function atMost(timeoutMs: number, promise: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([promise, timeout]);
  clearTimeout(timer);
}
