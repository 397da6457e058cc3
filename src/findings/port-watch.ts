import type { PortScan, PortScans } from "../ports/sampler.ts";
import type { DestinationOutlook, PortTrends } from "../ports/trend.ts";

export interface PortWatchOptions {
  readonly scans: PortScans;
  readonly trends: PortTrends;
  take(outlooks: readonly DestinationOutlook[]): void;
  onError(error: unknown): void;
  /** How often to look. */
  readonly intervalMs?: number;
}

/** A little longer than a scan is believed, or every other look would come a moment too early. */
const INTERVAL_MS = 10_250;

/** Looks at the local ports though nobody asks for metrics. What a scan may cost the sampler knows. */
export class PortWatch {
  readonly #options: PortWatchOptions;
  #last: PortScan | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PortWatchOptions) {
    this.#options = options;
  }

  start(): void {
    const { intervalMs = INTERVAL_MS } = this.#options;
    this.#timer ??= setInterval(() => void this.look(), intervalMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Nothing is told of a scan that was there already. */
  async look(): Promise<void> {
    const { scans, trends, take, onError } = this.#options;
    try {
      const scan = await scans.latest();
      if (scan === undefined || scan === this.#last) return;
      this.#last = scan;
      take([...trends.of(scan).values()].flat());
    } catch (error) {
      onError(error);
    }
  }
}
