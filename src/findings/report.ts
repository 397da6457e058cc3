import type { Logger } from "pino";
import type { FindingEvent } from "../events/events.schema.ts";
import { ObjectBatch } from "../journal/batch.ts";
import type { Journal } from "../journal/journal.ts";
import type { FindingSink } from "./engine.ts";
import type { FindingJson } from "./finding.ts";
import type { Owner } from "./observed.ts";
import { principalOf } from "./principal.ts";

/** A flood of findings must not become a flood of lines; the stream has them all. */
const MAX_LINES_PER_SECOND = 40;
/** Of one user in one cgroup: the flood of theirs must not leave out another one's. */
const MAX_OWN_LINES = 20;
const WINDOW_MS = 1000;

/** Puts findings onto the stream, as events of type `finding`, and into the log. */
export class FindingReport implements FindingSink {
  readonly #journal: Journal;
  readonly #logger: Logger;
  #windowStartMs = 0;
  #lines = 0;
  readonly #ownLines = new Map<string, number>();
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

  opened({ id, kind, severity, summary, netns, remedies, parties }: FindingJson): void {
    if (!this.#withinLogLimit(parties[0])) return;
    const level = ({ critical: "error", warning: "warn", info: "info" } as const)[severity];
    const remedy = remedies[0]?.summary;
    this.#logger[level]({ finding: id, kind, severity, netns, remedy }, `finding: ${summary}`);
  }

  closed(finding: FindingJson): void {
    if (!this.#withinLogLimit(finding.parties[0])) return;
    const { id, kind, count, close_reason: reason, replaced_by: replacedBy, summary } = finding;
    const details = { finding: id, kind, count, reason, ...(replacedBy && { replacedBy }) };
    this.#logger.info(details, `finding closed: ${summary}`);
  }

  failed(operation: string, error: unknown): void {
    if (this.#withinLogLimit()) this.#logger.error({ err: error }, `findings: ${operation}`);
  }

  #withinLogLimit(owner: Owner = {}): boolean {
    const nowMs = performance.now();
    if (nowMs - this.#windowStartMs >= WINDOW_MS) {
      const suppressed = this.#suppressed;
      this.#windowStartMs = nowMs;
      this.#lines = 0;
      this.#ownLines.clear();
      this.#suppressed = 0;
      if (suppressed > 0) this.#logger.warn({ suppressed }, "findings: lines left out");
    }
    const { group, user } = principalOf(owner);
    const own = (this.#ownLines.get(`${group} ${user}`) ?? 0) + 1;
    this.#ownLines.set(`${group} ${user}`, own);
    const isWithin = own <= MAX_OWN_LINES && this.#lines < MAX_LINES_PER_SECOND;
    if (isWithin) this.#lines++;
    else this.#suppressed++;
    return isWithin;
  }
}
