import type {
  CloseReason,
  Consequence,
  Diagnosis,
  FindingJson,
  FindingKind,
  FindingState,
  Observation,
  Observed,
} from "./finding.ts";
import { DistinctParties, DistinctTuples, Evidence, mergeConsequence } from "./merge.ts";
import type { NetnsName } from "./observed.ts";

/** One finding from its first observation to its last. */
export class OpenFinding {
  readonly id: string;
  readonly kind: FindingKind;
  readonly key: string;
  readonly #netns: NetnsName | undefined;
  readonly #evidence = new Evidence();
  readonly #parties = new DistinctParties();
  readonly #tuples = new DistinctTuples();
  #describe: (observed: Observed) => Diagnosis;
  #consequence: Consequence = {};
  #count = 0;
  #firstSeen: string;
  #lastSeen: string;
  #state: FindingState = "active";
  #closed: Pick<FindingJson, "closed_at" | "close_reason" | "replaced_by"> = {};
  #emittedCount = 0;
  #changed = false;
  /** By the engine's clock. */
  lastObservedMs = 0;
  emittedAtMs = 0;
  closedAtMs = 0;

  /** @throws Error if the observation does not describe a finding */
  constructor(id: string, first: Observation) {
    if (first.describe === undefined) throw new Error(`open a finding: ${first.kind} has no text`);
    this.id = id;
    this.kind = first.kind;
    this.key = first.key;
    this.#netns = first.netns;
    this.#describe = first.describe;
    this.#firstSeen = first.time;
    this.#lastSeen = first.time;
  }

  add(observation: Observation): void {
    const { time, evidence, parties, tuples, consequence, levels, describe } = observation;
    const names = Object.keys(this.#consequence).length;
    this.#count += observation.count;
    if (time > this.#lastSeen) this.#lastSeen = time;
    if (time < this.#firstSeen) this.#firstSeen = time;
    this.#evidence.add(evidence);
    this.#tuples.add(tuples);
    this.#consequence = mergeConsequence(this.#consequence, consequence, levels);
    if (describe !== undefined) this.#describe = describe;
    const isNew = this.#parties.add(parties);
    this.#changed ||= isNew || Object.keys(this.#consequence).length > names;
  }

  /** Takes over what another finding had: it turned out to be this one. */
  absorb(other: OpenFinding): void {
    this.#count += other.#count;
    if (other.#firstSeen < this.#firstSeen) this.#firstSeen = other.#firstSeen;
    this.#evidence.prepend(other.#evidence);
    this.#parties.add(other.#parties.list);
    this.#tuples.add(other.#tuples.list);
    this.#consequence = mergeConsequence(this.#consequence, other.#consequence);
    this.#changed = true;
  }

  close(reason: CloseReason, atMs: number, replacedBy?: string): void {
    this.#state = "closed";
    this.closedAtMs = atMs;
    this.#closed = {
      closed_at: new Date(atMs).toISOString(),
      close_reason: reason,
      ...(replacedBy !== undefined && { replaced_by: replacedBy }),
    };
  }

  get active(): boolean {
    return this.#state === "active";
  }

  /** Whether there is news worth an event: somebody else, another consequence, twice as many. */
  get notable(): boolean {
    return this.#changed || this.#count >= 2 * this.#emittedCount;
  }

  noteEmitted(atMs: number): void {
    this.emittedAtMs = atMs;
    this.#emittedCount = this.#count;
    this.#changed = false;
  }

  toJson(): FindingJson {
    const observed: Observed = {
      count: this.#count,
      firstSeen: this.#firstSeen,
      lastSeen: this.#lastSeen,
      netns: this.#netns,
      parties: this.#parties.list,
      consequence: this.#consequence,
    };
    const { severity, summary, explanation, ...rest } = this.#describe(observed);
    return {
      id: this.id,
      kind: this.kind,
      severity,
      state: this.#state,
      summary,
      explanation,
      ...(this.#netns !== undefined && { netns: this.#netns }),
      first_seen: this.#firstSeen,
      last_seen: this.#lastSeen,
      ...this.#closed,
      count: this.#count,
      parties: observed.parties,
      tuples: this.#tuples.list,
      consequence: this.#consequence,
      evidence: this.#evidence.seqs,
      evidence_count: this.#evidence.count,
      ...rest,
    };
  }
}
