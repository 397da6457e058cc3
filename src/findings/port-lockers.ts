/* port_locked_by_bind before a call fails: sockets bind before they connect, and the range fills. */
import type { PortQuery, PortQueryResult } from "../ports/query.ts";
import { FairLruMap } from "../util/fair-lru.ts";
import { BindBeforeConnectTracker } from "./bind-before-connect.ts";
import { type Detector, NOTHING, type Step } from "./detector.ts";
import type { Observation } from "./finding.ts";
import { netnsKey } from "./format.ts";
import { FULL_RATIO, takenRatio } from "./local_port_exhaustion.ts";
import { isType } from "./observed.ts";
import { describeLocked, isFullAndLocked, lockedLevels, lockersOf } from "./port_locked_by_bind.ts";
import { lockedKey } from "./port-failures.ts";
import { principalOf } from "./principal.ts";

const MAX_NETNS = 64;

export function createPortLockers(): Detector {
  const places = new FairLruMap<string, BindBeforeConnectTracker>(MAX_NETNS);
  return { types: ["connect"], take, resolve, tick };

  function take(event: Parameters<Detector["take"]>[0]): Step {
    if (!isType(event, "connect") || event.protocol !== "tcp") return NOTHING;
    if (event.technique !== "bind_before_connect") return NOTHING;
    if (event.local?.port === undefined || event.netns === undefined) return NOTHING;
    const key = netnsKey(event.netns);
    const place = places.get(key) ?? new BindBeforeConnectTracker(key, event.netns, event);
    places.set(key, place, principalOf(event));
    const portQuery = place.note(event, event.local.port);
    return portQuery === undefined ? NOTHING : { portQuery };
  }

  function resolve(query: PortQuery, found: PortQueryResult | undefined): Observation[] {
    const place = places.get(query.key);
    if (place === undefined || found === undefined) return [];
    place.takenRatio = takenRatio(found);
    return isFullAndLocked(found, FULL_RATIO) ? [locked(place, found)] : [];
  }

  function tick(nowMs: number): PortQuery[] {
    return places.values().flatMap((place) => place.due(nowMs) ?? []);
  }
}

/** As often as it is counted, it is one incident. */
function locked(
  { last, firstSeqs }: BindBeforeConnectTracker,
  found: PortQueryResult,
): Observation {
  return {
    kind: "port_locked_by_bind",
    key: lockedKey(last.netns),
    opens: true,
    count: 1,
    time: last.time,
    netns: last.netns,
    evidence: [...new Set([...firstSeqs, last.seq])],
    parties: lockersOf(found),
    tuples: [{ protocol: "tcp", ...(last.local && { local: last.local }), peer: last.peer }],
    consequence: {},
    levels: lockedLevels(found),
    describe: (observed) => describeLocked(observed, found, last),
  };
}
