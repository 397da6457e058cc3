import type { Logger } from "pino";
import { reasonOf } from "../../util/errno.ts";

/** Different ones of failures that come again and again. */
const MAX_WARNED = 100;

/** Where a right is missing, each scan and scrape fails alike. */
export class WarnOnce {
  readonly #logger: Logger;
  readonly #warned = new Set<string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  tell(error: unknown, what: string): void {
    const reason = reasonOf(error);
    if (this.#warned.has(`${what} ${reason}`) || this.#warned.size >= MAX_WARNED) return;
    this.#warned.add(`${what} ${reason}`);
    this.#logger.warn({ reason }, what);
  }
}
