/** Longest time from start to the command, under TCG on a busy machine. */
const BOOT_LIMIT_MS = 120_000;
/** The guest tells every 2 s that it lives; a kernel silent for so long is taken as hung. */
const SILENCE_LIMIT_MS = 60_000;
/** Where its clock counts instructions, which are not so many in that time on a busy machine. */
const COUNTING_SILENCE_LIMIT_MS = 900_000;

/** `time_limit` is a command that took too long; `hung` and `panicked` are the kernel's doing. */
export type Ending = "exited" | "time_limit" | "hung" | "panicked" | "interrupted";

/** What a guest has told on its control port (see guest-init.sh). */
export class Progress {
  readonly startMs = Date.now();
  readonly report: string[] = [];
  /** When the command began; absent until then. */
  readyMs: number | undefined;
  /** Exit code of the command; absent until it ended. */
  code: number | undefined;
  readonly #silenceLimitMs: number;
  #lastSignMs = Date.now();

  constructor(countsInstructions: boolean) {
    this.#silenceLimitMs = countsInstructions ? COUNTING_SILENCE_LIMIT_MS : SILENCE_LIMIT_MS;
  }

  note(line: string): void {
    const space = line.indexOf(" ");
    const word = space < 0 ? line : line.slice(0, space);
    const rest = line.slice(word.length + 1);
    this.#lastSignMs = Date.now();
    if (word === "ready") this.readyMs = Date.now();
    if (word === "report") this.report.push(rest);
    if (word === "exit") this.code = Number(rest);
  }

  /** Why the guest must be ended now, if it must. A `timeoutMs` of undefined is no limit. */
  overdue(timeoutMs: number | undefined): Ending | undefined {
    const now = Date.now();
    if (this.readyMs === undefined) {
      return now - this.startMs > BOOT_LIMIT_MS ? "hung" : undefined;
    }
    if (now - this.#lastSignMs > this.#silenceLimitMs) return "hung";
    if (timeoutMs === undefined || now - this.readyMs <= timeoutMs) return undefined;
    return "time_limit";
  }
}
