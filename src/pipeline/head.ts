import { formatTime } from "../kernel/clock.ts";
import { attributionNames, type EventHead, inferredNames } from "../probes/events.gen.ts";
import { bitNames, enumName, formatProcess } from "../probes/fields.ts";

/** What the record itself does not hold. Absent names are not known, or no longer. */
export interface Names {
  readonly cgroupPath?: string | undefined;
  readonly netns?: string | undefined;
}

export interface Origin {
  readonly probe: string;
  readonly backend: string;
  readonly names: Names;
  readonly wallClockOffsetNs: bigint;
}

/** The common head of an event, JSON-ready. `type` is the event type. */
export function formatHead(head: EventHead, type: string, origin: Origin) {
  const { names } = origin;
  const attribution = enumName(attributionNames, head.attribution);
  return {
    time: formatTime(head.timeNs + origin.wallClockOffsetNs),
    type,
    probe: origin.probe,
    backend: origin.backend,
    cpu: head.cpu,
    netns: {
      // Before 5.15 a namespace has a cookie only once somebody has asked for it.
      ...(head.netnsCookie !== 0n && { cookie: String(head.netnsCookie) }),
      inum: head.netnsInum,
      ...(names.netns !== undefined && { name: names.netns }),
    },
    attribution,
    ...(attribution !== "none" && { process: formatProcess(head.process) }),
    ...(head.cgroupId !== 0n && {
      cgroup: {
        id: String(head.cgroupId),
        ...(names.cgroupPath !== undefined && { path: names.cgroupPath }),
      },
    }),
    ...(head.inferred !== 0 && { inferred: bitNames(head.inferred, inferredNames) }),
  };
}
