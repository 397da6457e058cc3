import type { Observation } from "./finding.ts";
import type { Endpoint, NetnsName, ObservedEvent, Owner, ProcessName } from "./observed.ts";

/** Which local ports are in use in a network namespace, and by whom. */
export interface CensusQuestion {
  /** Names the question: while it is not answered, it is not asked again. */
  readonly key: string;
  readonly netns: NetnsName;
  /** A process of that namespace. */
  readonly pid: number | undefined;
  readonly protocol: "tcp" | "udp";
  /** Only holders of ports that are connected to it count. */
  readonly peer?: Endpoint;
  /** Holders are looked for only where this part of the range (0 to 1) is in use: it is work. */
  readonly holdersFrom: number;
}

export interface PortHolder {
  /** Absent where no process was found. */
  readonly process?: ProcessName;
  readonly cgroup?: NonNullable<Owner["cgroup"]>;
  /** Why there is none. */
  readonly without?: "time_wait" | "orphaned" | "unknown";
  readonly ports: number;
}

export interface CensusAnswer {
  /** ip_local_port_range, both ends included; `available`: less the reserved ones. */
  readonly range: { readonly low: number; readonly high: number; readonly available: number };
  /** Distinct local ports of the range in use for the protocol. */
  readonly inUse: number;
  /** Most ports first. */
  readonly holders: readonly PortHolder[];
}

/** Undefined when the namespace is gone or cannot be looked into. */
export interface PortCensus {
  ask(question: CensusQuestion): Promise<CensusAnswer | undefined>;
}

/** Facts of this machine that no event tells. */
export interface Environment {
  /** Undefined while conntrack is not loaded. */
  conntrackTable(): { readonly entries: number; readonly limit: number } | undefined;
}

export interface Step {
  readonly observations?: readonly Observation[];
  readonly question?: CensusQuestion;
}

export const NOTHING: Step = {};

/** Concludes from events alone, one at a time and in order; keeps what it must, bounded. */
export interface Detector {
  /** Event types that it wants to see. */
  readonly types: readonly string[];
  take(event: ObservedEvent): Step;
  /** The answer to a question of its own; undefined when there is none to be had. */
  answer?(question: CensusQuestion, answer: CensusAnswer | undefined): readonly Observation[];
  /** Called a few times a second, with the time since 1970. */
  tick?(nowMs: number): readonly CensusQuestion[];
}

/** Part of the range in use, from 0 to 1. */
export function fill(answer: CensusAnswer): number {
  return answer.range.available === 0 ? 1 : answer.inUse / answer.range.available;
}
