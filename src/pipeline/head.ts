import type { CgroupName } from "../enrich/cgroups.ts";
import { formatTime } from "../kernel/clock.ts";
import { attributionNames, type EventHead, inferredNames } from "../probes/events.gen.ts";
import { bitNames, enumName, formatNetns, formatProcess } from "../probes/fields.ts";
import type { Party } from "../probes/probe.ts";
import type { EventHeadJson } from "./events.schema.ts";

/** Names of one party. Absent ones are not known, or no longer. */
export interface PartyNames {
  readonly cgroup?: CgroupName | undefined;
  readonly netns?: string | undefined;
}

/** What a record does not hold itself: the names of the party in its head, and of the others. */
export interface Names extends PartyNames {
  /** In the order of the kind's `parties`. */
  readonly parties?: readonly PartyNames[];
}

export interface Origin {
  readonly probe: string;
  readonly backend: string;
  readonly names: Names;
  readonly wallClockOffsetNs: bigint;
}

/** The common head of an event, JSON-ready. `type` is the event type. */
export function formatHead(head: EventHead, type: string, origin: Origin): EventHeadJson {
  const { names } = origin;
  const attribution = enumName(attributionNames, head.attribution);
  return {
    time: formatTime(head.timeNs + origin.wallClockOffsetNs),
    type,
    probe: origin.probe,
    backend: origin.backend,
    cpu: head.cpu,
    netns: {
      ...formatNetns(head.netnsCookie, head.netnsInum),
      ...(names.netns !== undefined && { name: names.netns }),
    },
    attribution,
    ...(attribution !== "none" && { process: formatProcess(head.process) }),
    ...(head.cgroupId !== 0n && { cgroup: { id: String(head.cgroupId), ...names.cgroup } }),
    ...(head.inferred !== 0 && { inferred: bitNames(head.inferred, inferredNames) }),
  };
}

/** Adds the names to a party in an event's body. */
export function nameParty(party: Party | undefined, names: PartyNames | undefined): void {
  if (party === undefined || names === undefined) return;
  if (names.cgroup !== undefined) party.cgroup = { ...party.cgroup, ...names.cgroup };
  if (names.netns !== undefined) party.netns = { ...party.netns, name: names.netns };
}
