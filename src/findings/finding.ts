import type { NetnsName, Owner } from "../events/fields.schema.ts";
import type {
  Consequence,
  DiagnosisJson,
  FindingTuple,
  Party,
  RemedyJson,
} from "../events/finding.schema.ts";
import type { FindingKind } from "../events/finding-kinds.ts";
import type { Command } from "../util/shell.ts";
import type { NetnsPlace } from "./place.ts";

export type {
  Consequence,
  FindingJson,
  FindingTuple,
  Party,
  RemedyJson,
} from "../events/finding.schema.ts";

export type Reference = DiagnosisJson["references"][number];

/** What to do; src/findings/remedy.ts makes them. */
export interface Remedy extends RemedyJson {
  readonly commands: readonly Command[];
}

export interface Diagnosis extends DiagnosisJson {
  readonly remedies: readonly Remedy[];
}

export interface FindingClock {
  /** Since the machine booted, as events have it. */
  nowMs(): number;
  /** Since 1970, of a time since the machine booted. */
  wallMs(atMs: number): number;
}

/** What was observed of one finding so far. */
export interface Observed {
  readonly count: number;
  /** RFC 3339. */
  readonly firstSeen: string;
  readonly lastSeen: string;
  readonly parties: readonly Party[];
  readonly consequence: Consequence;
  /** The namespace of the incident, as it can be entered now. */
  readonly place: NetnsPlace;
}

/** What an event adds to a finding, or opens one with. */
export interface Observation {
  readonly kind: FindingKind;
  /** Kind and parties: observations of one key are one finding. */
  readonly key: string;
  /** False: it is of interest only if the finding is open. */
  readonly opens: boolean;
  /** Incidents that it stands for. */
  readonly count: number;
  readonly time: string;
  readonly netns: NetnsName | undefined;
  /** Seqs of the events it rests on. */
  readonly evidence: readonly number[];
  readonly parties: readonly Party[];
  /** Whose doing it is, as far as known; by default the first party's. */
  readonly cause?: Owner;
  readonly tuples: readonly FindingTuple[];
  readonly consequence: Consequence;
  /** Numbers that replace what they were. */
  readonly levels?: Consequence;
  /** Absent: as before. */
  readonly describe?: (observed: Observed) => Diagnosis;
  /** A finding that this one shows to have been something else. */
  readonly replaces?: FindingRef & {
    /** It said that this would come: nothing of it was an incident, and nothing is taken over. */
    readonly isForecast?: true;
  };
  /** It opens nothing while such a finding is open, or was a minute ago. */
  readonly yieldsTo?: readonly FindingRef[];
}

export interface FindingRef {
  readonly kind: FindingKind;
  readonly key: string;
}
