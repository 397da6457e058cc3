import type { Logger } from "pino";
import type { FindingSink } from "../findings/engine.ts";
import type { FindingJson } from "../findings/finding.ts";
import { ObjectBatch } from "./batch.ts";
import type { FindingEvent } from "./events.schema.ts";
import type { Journal } from "./journal.ts";

/** A flood of findings must not become a flood of lines; the stream has them all. */
const MAX_LINES_PER_SECOND = 20;
const WINDOW_MS = 1000;

/** Puts findings onto the stream, as events of type `finding`, and into the log. */
export class FindingReport implements FindingSink {
  readonly #journal: Journal;
  readonly #logger: Logger;
  #windowStartMs = 0;
  #lines = 0;
  #suppressed = 0;

  constructor(journal: Journal, logger: Logger) {
    this.#journal = journal;
    this.#logger = logger;
  }

  emit(finding: FindingJson): void {
    const event: Omit<FindingEvent, "seq"> = {
      time: new Date().toISOString(),
      type: "finding",
      ...finding,
    };
    this.#journal.append(new ObjectBatch("finding", [event]));
  }

  opened({ id, kind, severity, summary, netns, remedies }: FindingJson): void {
    if (!this.#mayLog()) return;
    const level = ({ critical: "error", warning: "warn", info: "info" } as const)[severity];
    const remedy = remedies[0]?.summary;
    this.#logger[level]({ finding: id, kind, severity, netns, remedy }, `finding: ${summary}`);
  }

  closed(finding: FindingJson): void {
    if (!this.#mayLog()) return;
    const { id, kind, count, close_reason: reason, replaced_by: replacedBy, summary } = finding;
    const details = { finding: id, kind, count, reason, ...(replacedBy && { replacedBy }) };
    this.#logger.info(details, `finding closed: ${summary}`);
  }

  failed(operation: string, error: unknown): void {
    if (this.#mayLog()) this.#logger.error({ err: error }, `findings: ${operation}`);
  }

  #mayLog(): boolean {
    const nowMs = performance.now();
    if (nowMs - this.#windowStartMs >= WINDOW_MS) {
      const suppressed = this.#suppressed;
      this.#windowStartMs = nowMs;
      this.#lines = 0;
      this.#suppressed = 0;
      if (suppressed > 0) this.#logger.warn({ suppressed }, "findings: lines left out");
    }
    this.#lines++;
    if (this.#lines > MAX_LINES_PER_SECOND) this.#suppressed++;
    return this.#lines <= MAX_LINES_PER_SECOND;
  }
}
