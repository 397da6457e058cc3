import type { CloseReason, FindingKind, FindingState } from "../events/finding-kinds.ts";
import type { Principal } from "../util/fair-lru.ts";
import { shiftTime } from "../util/time.ts";
import type {
  Consequence,
  Diagnosis,
  FindingClock,
  FindingJson,
  Observation,
  Observed,
} from "./finding.ts";
import type { LocateNetns } from "./locate-netns.ts";
import { DistinctTuples, Evidence, mergeConsequence } from "./merge.ts";
import type { NetnsName } from "./observed.ts";
import { DistinctParties } from "./parties.ts";
import { principalOf } from "./principal.ts";

/** One finding from its first observation to its last. */
export class OpenFinding {
  readonly id: string;
  readonly kind: FindingKind;
  readonly key: string;
  /** Whom the room that it takes is charged to. */
  readonly principal: Principal;
  #netns: NetnsName | undefined;
  readonly #locateNetns: LocateNetns;
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
  #emittedParties = "";
  #severity: Diagnosis["severity"] | undefined;
  #changed = false;
  /** By the engine's clock. */
  lastObservedMs = 0;
  emittedAtMs = 0;
  closedAtMs: number | undefined;

  /** @throws Error if the observation does not describe a finding */
  constructor(id: string, first: Observation, locateNetns: LocateNetns) {
    if (first.describe === undefined) throw new Error(`open a finding: ${first.kind} has no text`);
    this.id = id;
    this.kind = first.kind;
    this.key = first.key;
    this.principal = causeOf(first);
    this.#netns = first.netns;
    this.#locateNetns = locateNetns;
    this.#describe = first.describe;
    this.#firstSeen = first.time;
    this.#lastSeen = first.time;
  }

  add(observation: Observation): void {
    const { time, opens, evidence, parties, tuples, consequence, levels, describe } = observation;
    const names = Object.keys(this.#consequence).length;
    this.#count += observation.count;
    // What rests on no event and opens nothing happened at no time; the clock may have been set since that was noted.
    if (evidence.length > 0 || opens) this.#sawAt(time);
    this.#learnName(observation.netns);
    this.#evidence.add(evidence);
    this.#tuples.add(tuples, causeOf(observation));
    this.#consequence = mergeConsequence(this.#consequence, consequence, levels);
    this.#severity = undefined;
    if (describe !== undefined) this.#describe = describe;
    this.#parties.add(parties);
    this.#changed ||= Object.keys(this.#consequence).length > names;
  }

  #sawAt(time: string): void {
    if (time > this.#lastSeen) this.#lastSeen = time;
    if (time < this.#firstSeen) this.#firstSeen = time;
  }

  /** A namespace that has just been made may get its name after its first events. */
  #learnName(netns: NetnsName | undefined): void {
    const own = this.#netns;
    if (own?.cookie === undefined || own.name !== undefined || netns?.name === undefined) return;
    if (netns.cookie === own.cookie) this.#netns = netns;
  }

  /** Takes over what another finding had: it turned out to be this one. */
  absorb(other: OpenFinding): void {
    this.#count += other.#count;
    if (other.#firstSeen < this.#firstSeen) this.#firstSeen = other.#firstSeen;
    this.#evidence.prepend(other.#evidence);
    this.#parties.absorb(other.#parties);
    this.#tuples.add(other.#tuples.list, other.principal);
    this.#consequence = mergeConsequence(this.#consequence, other.#consequence);
    this.#severity = undefined;
    this.#changed = true;
  }

  close(reason: CloseReason, clock: FindingClock, replacedBy?: string): void {
    this.#state = "closed";
    this.closedAtMs = clock.nowMs();
    this.#closed = {
      closed_at: new Date(clock.wallMs(clock.nowMs())).toISOString(),
      close_reason: reason,
      ...(replacedBy !== undefined && { replaced_by: replacedBy }),
    };
  }

  /** As `FindingEngine.shiftTimes`. */
  shiftTimes(byMs: number): void {
    this.#firstSeen = shiftTime(this.#firstSeen, byMs);
    this.#lastSeen = shiftTime(this.#lastSeen, byMs);
    const { closed_at } = this.#closed;
    if (closed_at === undefined) return;
    this.#closed = { ...this.#closed, closed_at: shiftTime(closed_at, byMs) };
  }

  get active(): boolean {
    return this.#state === "active";
  }

  /** Whether there is news worth an event: somebody else, another consequence, twice as many. */
  get notable(): boolean {
    return (
      this.#changed ||
      this.#count >= 2 * this.#emittedCount ||
      this.#parties.identity !== this.#emittedParties
    );
  }

  noteEmitted(atMs: number): void {
    this.emittedAtMs = atMs;
    this.#emittedCount = this.#count;
    this.#emittedParties = this.#parties.identity;
    this.#changed = false;
  }

  /** As of now. */
  get severity(): Diagnosis["severity"] {
    this.#severity ??= this.#describe(this.#observed()).severity;
    return this.#severity;
  }

  #observed(): Observed {
    return {
      count: this.#count,
      firstSeen: this.#firstSeen,
      lastSeen: this.#lastSeen,
      parties: this.#parties.list,
      consequence: this.#consequence,
      place: this.#locateNetns(this.#netns, this.#parties.pids),
    };
  }

  toJson(): FindingJson {
    const observed = this.#observed();
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

function causeOf({ cause, parties, netns }: Observation): Principal {
  return principalOf({ ...(netns !== undefined && { netns }), ...(cause ?? parties[0]) });
}
