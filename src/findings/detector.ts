import type { PortQuery, PortQueryResult } from "../ports/query.ts";
import type { DestinationOutlook } from "../ports/trend.ts";
import type { Observation } from "./finding.ts";
import type { LocateNetns } from "./locate-netns.ts";
import type { ObservedEvent } from "./observed.ts";

/** Facts of this machine that no event tells. */
export interface Environment {
  /** Undefined while conntrack is not loaded. */
  conntrackTable(): { readonly entries: number; readonly limit: number } | undefined;
  readonly locateNetns: LocateNetns;
}

export interface Step {
  readonly observations?: readonly Observation[];
  readonly portQuery?: PortQuery;
}

export const NOTHING: Step = {};

/** Concludes from events alone, one at a time and in order; keeps what it must, bounded. */
export interface Detector {
  /** Event types that it wants to see. */
  readonly types: readonly string[];
  take(event: ObservedEvent): Step;
  /** What came of a query of its own; undefined when there is nothing to be had. */
  resolve?(query: PortQuery, result: PortQueryResult | undefined): readonly Observation[];
  /** Local ports as they were just counted, at a time in RFC 3339 and since the machine booted. */
  takePorts?(
    outlooks: readonly DestinationOutlook[],
    time: string,
    nowMs: number,
  ): readonly PortQuery[];
  /** Called a few times a second, with the time since the machine booted. */
  tick?(nowMs: number): readonly PortQuery[];
}
