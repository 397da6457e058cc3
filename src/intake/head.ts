import {
  attributionNames,
  backendNames,
  type EventHead,
  inferredNames,
} from "../events/events.gen.ts";
import type { EventHeadJson } from "../events/events.schema.ts";
import { bitNames, enumName, formatNetns, formatProcess } from "../events/fields.ts";
import { formatTime } from "../kernel/clock.ts";
import type { Participant } from "../probes/probe.ts";
import type { ParticipantNames } from "./participant-names.ts";

export interface Origin {
  readonly probe: string;
  /** Of the participant in the head. */
  readonly names: ParticipantNames;
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
  names: ParticipantNames,
): void {
  if (participant === undefined) return;
  if (names.cgroup !== undefined) participant.cgroup = { ...participant.cgroup, ...names.cgroup };
  if (names.netns !== undefined) participant.netns = { ...participant.netns, name: names.netns };
}
