import type { PortQuery, PortQueryResult, QueryPorts } from "../ports/query.ts";
import type { Detector } from "./detector.ts";
import type { Observation } from "./finding.ts";
import { ofLargest } from "./room.ts";

/** Queries that wait while one is being answered; of more, those who have most get no result. */
const MAX_WAITING = 16;

interface Waiting {
  readonly detector: Detector;
  readonly query: PortQuery;
}

/** Runs detectors' queries of local ports, one at a time, and hands them the results. */
export class PortQueryQueue {
  readonly #sink: { failed(operation: string, error: unknown): void };
  readonly #observe: (observations: readonly Observation[]) => void;
  readonly #queryPorts: QueryPorts | undefined;
  readonly #waiting: Waiting[] = [];
  #busy = false;
  #dropped = 0;

  /** Without `queryPorts` no query has a result. */
  constructor(
    sink: { failed(operation: string, error: unknown): void },
    observe: (observations: readonly Observation[]) => void,
    queryPorts: QueryPorts | undefined,
  ) {
    this.#sink = sink;
    this.#observe = observe;
    this.#queryPorts = queryPorts;
  }

  /** Queries that got no result because too many waited. */
  get dropped(): number {
    return this.#dropped;
  }

  enqueue(detector: Detector, query: PortQuery): void {
    // One that is being answered may have been counted before what this one is about.
    const untouched = this.#busy ? this.#waiting.slice(1) : this.#waiting;
    const again = untouched.some(
      (other) => other.detector === detector && other.query.key === query.key,
    );
    if (again) return;
    if (this.#queryPorts === undefined) {
      this.#resolve({ detector, query }, undefined);
      return;
    }
    this.#waiting.push({ detector, query });
    if (this.#waiting.length > MAX_WAITING) this.#dropOne();
    void this.#work(this.#queryPorts);
  }

  /** The last of those who have most waiting. */
  #dropOne(): void {
    const lastFirst = this.#waiting.slice(1).reverse();
    const group = ofLargest(lastFirst, ({ query }) => query.principal?.group ?? "");
    const [last] = ofLargest(group, ({ query }) => query.principal?.user ?? "");
    if (last === undefined) return;
    this.#dropped++;
    this.#waiting.splice(this.#waiting.indexOf(last), 1);
    this.#resolve(last, undefined);
  }

  async #work(queryPorts: QueryPorts): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const result = await this.#run(queryPorts, next.query);
      this.#waiting.shift();
      this.#resolve(next, result);
    }
    this.#busy = false;
  }

  async #run(queryPorts: QueryPorts, query: PortQuery): Promise<PortQueryResult | undefined> {
    try {
      return await queryPorts(query);
    } catch (error) {
      this.#sink.failed("count local ports", error);
      return undefined;
    }
  }

  #resolve({ detector, query }: Waiting, result: PortQueryResult | undefined): void {
    try {
      this.#observe(detector.resolve?.(query, result) ?? []);
    } catch (error) {
      this.#sink.failed("conclude from the local ports", error);
    }
  }
}
