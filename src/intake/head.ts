import {
  attributionNames,
  backendNames,
  type EventHead,
  inferredNames,
} from "../events/events.gen.ts";
import type { EventHeadJson } from "../events/events.schema.ts";
import { bitNames, enumName, formatNetns, formatProcess } from "../events/fields.ts";
import { formatTime } from "../kernel/clock.ts";
import type { CgroupName } from "../names/cgroups.ts";
import type { Participant } from "../probes/probe.ts";

/** Names of one participant. Absent ones are not known, or no longer. */
export interface ParticipantNames {
  readonly cgroup?: CgroupName | undefined;
  readonly netns?: string | undefined;
}

/** What a record does not hold itself: the names of the participant in its head, and of the others. */
export interface Names extends ParticipantNames {
  /** In the order of the record type's `participants`. */
  readonly participants?: readonly ParticipantNames[];
}

export interface Origin {
  readonly probe: string;
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
    backend: enumName(backendNames, head.backend),
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

/** Adds the names to a participant in an event's body. */
export function nameParticipant(
  participant: Participant | undefined,
  names: ParticipantNames | undefined,
): void {
  if (participant === undefined || names === undefined) return;
  if (names.cgroup !== undefined) participant.cgroup = { ...participant.cgroup, ...names.cgroup };
  if (names.netns !== undefined) participant.netns = { ...participant.netns, name: names.netns };
}
