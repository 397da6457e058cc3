import { LruMap } from "../util/lru.ts";
import { TokenBucket } from "../util/token-bucket.ts";
import { MS_PER_SECOND } from "../util/units.ts";
import {
  LocalNetnsResolver,
  type NetnsAnswer,
  type NetnsQuestion,
  type NetnsResolver,
} from "./netns-resolver.ts";

const MAX_NAMES = 8192;

/** Look-ups a second. A proof enters the namespace, some 0.1 ms; a confirmation is a stat. */
const MAX_PROOFS = 200;
const MAX_CONFIRMATIONS = 5000;

/** What has no name is looked for again after this long, and with so many processes as hints. */
const RETRY_MS = 1000;
const MAX_HINTS = 3;

interface Known {
  answer: NetnsAnswer | undefined;
  /** In which it was last found right. */
  batch: number;
  askedAtMs: number;
  hints: number;
}

/**
 * Names of network namespaces, by cookie: that of a file which keeps the namespace, else the short
 * id of the container that it was made for. A name is told only if what has it was that very
 * namespace, and a file's only if it was so after the event; a container's belongs to the
 * namespace for good.
 */
export class NetnsNames {
  readonly #resolver: NetnsResolver;
  readonly #known = new LruMap<number, Known>(MAX_NAMES);
  readonly #proofs = new TokenBucket(perSecond(MAX_PROOFS));
  readonly #confirmations = new TokenBucket(perSecond(MAX_CONFIRMATIONS));
  #batch = 0;
  #skipped = 0;
  #failed = 0;

  constructor(resolver: NetnsResolver = new LocalNetnsResolver()) {
    this.#resolver = resolver;
  }

  /** Names that were not looked for, because too many were at once. */
  get skipped(): number {
    return this.#skipped;
  }

  /** Names that could not be looked for. */
  get failed(): number {
    return this.#failed;
  }

  /** Begins with events that all were before now; what is found for one holds for the others. */
  beginBatch(): void {
    this.#batch++;
  }

  name(question: NetnsQuestion): string | undefined {
    const key = question.cookie ?? -question.inum;
    const known = this.#known.get(key) ?? this.#add(key);
    if (known.answer === undefined) return this.#ask(question, known)?.name;
    if (known.batch !== this.#batch) this.#check(question, known, known.answer);
    return known.answer?.name;
  }

  #add(key: number): Known {
    const known: Known = {
      answer: undefined,
      batch: 0,
      askedAtMs: Number.NEGATIVE_INFINITY,
      hints: 0,
    };
    this.#known.set(key, known);
    return known;
  }

  #check(question: NetnsQuestion, known: Known, answer: NetnsAnswer): void {
    const isLasting = answer.file === undefined && answer.isProven;
    if (!this.#confirmations.take()) {
      if (!isLasting) known.answer = this.#skip();
      return;
    }
    known.batch = this.#batch;
    const isConfirmed = this.#confirm(question, answer);
    // A process that was in a namespace of that number says nothing of the next one.
    if (isConfirmed && (answer.file !== undefined || answer.isProven)) return;
    known.answer = undefined;
    known.askedAtMs = Number.NEGATIVE_INFINITY;
    known.answer = this.#ask(question, known) ?? (isLasting ? answer : undefined);
  }

  #ask(question: NetnsQuestion, known: Known): NetnsAnswer | undefined {
    const nowMs = performance.now();
    if (nowMs - known.askedAtMs >= RETRY_MS) {
      known.askedAtMs = nowMs;
      known.hints = 0;
    }
    if (known.hints >= MAX_HINTS) return undefined;
    if (!this.#proofs.take(nowMs)) return this.#skip();
    known.hints++;
    known.batch = this.#batch;
    known.answer = this.#resolve(question);
    return known.answer;
  }

  #confirm(question: NetnsQuestion, answer: NetnsAnswer): boolean {
    try {
      return this.#resolver.confirm(question, answer);
    } catch {
      this.#failed++; // the privileged process is busy
      return false;
    }
  }

  #resolve(question: NetnsQuestion): NetnsAnswer | undefined {
    try {
      return this.#resolver.resolve(question);
    } catch {
      this.#failed++; // a right is missing: /metrics tells that names are
      return undefined;
    }
  }

  #skip(): undefined {
    this.#skipped++;
    return undefined;
  }
}

/** What one second did not need, the next may have. */
function perSecond(count: number): { intervalMs: number; burst: number } {
  return { intervalMs: MS_PER_SECOND / count, burst: count };
}
