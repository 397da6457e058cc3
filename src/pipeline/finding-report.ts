import type { Logger } from "pino";
import type { FindingSink } from "../findings/engine.ts";
import type { FindingJson } from "../findings/finding.ts";
import { ObjectBatch } from "./batch.ts";
import type { Journal } from "./journal.ts";

/** Puts findings onto the stream, as events of type `finding`, and into the log. */
export class FindingReport implements FindingSink {
  readonly #journal: Journal;
  readonly #logger: Logger;

  constructor(journal: Journal, logger: Logger) {
    this.#journal = journal;
    this.#logger = logger;
  }

  emit(finding: FindingJson): void {
    const event = { time: new Date().toISOString(), type: "finding", ...finding };
    this.#journal.append(new ObjectBatch("finding", [event]));
  }

  opened({ id, kind, severity, summary, netns, remedies }: FindingJson): void {
    const level = ({ critical: "error", warning: "warn", info: "info" } as const)[severity];
    const remedy = remedies[0]?.summary;
    this.#logger[level]({ finding: id, kind, severity, netns, remedy }, `finding: ${summary}`);
  }

  closed(finding: FindingJson): void {
    const { id, kind, count, close_reason: reason, replaced_by: replacedBy, summary } = finding;
    const details = { finding: id, kind, count, reason, ...(replacedBy && { replacedBy }) };
    this.#logger.info(details, `finding closed: ${summary}`);
  }

  failed(operation: string, error: unknown): void {
    this.#logger.error({ err: error }, `findings: ${operation}`);
  }
}
