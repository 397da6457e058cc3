/*
 * Calls that found no local port, and who had the ports: local_port_exhaustion, or
 * port_locked_by_bind. Which of the two a failure is only a count of the ports tells, so it waits for
 * one; where there is none, it is told without.
 */
import type { PortQuery, PortQueryResult } from "../ports/query.ts";
import { FairLruMap } from "../util/fair-lru.ts";
import { type Detector, NOTHING, type Step } from "./detector.ts";
import type { Observation } from "./finding.ts";
import { endpointText, findingNetnsKey, ownerOf } from "./format.ts";
import { describeExhaustion, FULL_RATIO, takenRatio } from "./local_port_exhaustion.ts";
import { type ConnectObserved, isType, timeMs } from "./observed.ts";
import { PendingFailures } from "./pending-failures.ts";
import { areLocked, describeLocked, lockedLevels, lockersOf } from "./port_locked_by_bind.ts";
import {
  destinationKey,
  type PortFailure,
  portFailureOf,
  programKey,
  scopeKey,
} from "./port-failure.ts";
import { mostOf, programsOf } from "./port-text.ts";
import { principalOf } from "./principal.ts";

/** Destinations of one user in a namespace that are findings of their own; others share one. */
const MAX_DESTINATIONS = 4;
const MAX_PLACES = 256;

/** As long as failures go on, who holds the ports is asked this often. */
const SCAN_MIN_INTERVAL_MS = 10_000;

/** What lacks the same ports. */
interface Place {
  readonly first: PortFailure;
  readonly lastBound: () => ConnectObserved | undefined;
  queriedAtMs: number;
  found: PortQueryResult | undefined;
  /** A query is under way of which nothing has come yet. */
  isWaiting: boolean;
  readonly pending: PendingFailures<PortFailure>;
}

export function createPortFailures(): Detector {
  const places = new FairLruMap<string, Place>(MAX_PLACES);
  const destinations = new FairLruMap<string, Set<string>>(MAX_PLACES);
  /** By namespace, the last connection that was bound first. */
  const bound = new FairLruMap<string, ConnectObserved>(MAX_PLACES);
  return { types: ["connect", "port_bind"], take, resolve };

  function take(event: Parameters<Detector["take"]>[0]): Step {
    if (isType(event, "connect") && event.technique === "bind_before_connect") {
      bound.set(lockedKey(event.netns), event, principalOf(event));
    }
    const failure = portFailureOf(event);
    if (failure === undefined) return NOTHING;
    const scoped = withinScope(failure);
    const key = scopeKey(scoped);
    const place = places.get(key) ?? newPlace(scoped, () => bound.get(lockedKey(event.netns)));
    places.set(key, place, principalOf(event));
    const portQuery = queryFor(key, place, scoped);
    if (portQuery !== undefined) {
      place.queriedAtMs = timeMs(event);
      place.isWaiting = place.found === undefined;
    }
    if (place.isWaiting) {
      place.pending.add(scoped);
      return portQuery === undefined ? NOTHING : { portQuery };
    }
    return {
      observations: observationsOf(key, place, scoped, 1),
      ...(portQuery !== undefined && { portQuery }),
    };
  }

  function resolve(query: PortQuery, found: PortQueryResult | undefined): Observation[] {
    const place = places.get(query.key);
    if (place === undefined) return [];
    place.found = found ?? place.found;
    place.isWaiting = false;
    const failures = place.pending
      .takeAll()
      .flatMap(({ failure, count }) => observationsOf(query.key, place, failure, count));
    return [...failures, ...holdersNow(query.key, place)];
  }

  /** Beyond the first few destinations of a user, where it was to go is left out. */
  function withinScope(failure: PortFailure): PortFailure {
    const { event, peer } = failure;
    if (peer === undefined) return failure;
    const principal = principalOf(event);
    const whose = `${findingNetnsKey(event.netns)} ${principal.group} ${principal.user}`;
    const known = destinations.get(whose) ?? new Set<string>();
    destinations.set(whose, known, principal);
    const destination = endpointText(peer);
    if (known.size < MAX_DESTINATIONS) known.add(destination);
    return known.has(destination) ? failure : { ...failure, peer: undefined };
  }
}

function newPlace(first: PortFailure, lastBound: Place["lastBound"]): Place {
  const queriedAtMs = Number.NEGATIVE_INFINITY;
  const pending = new PendingFailures<PortFailure>(
    ({ counted, event }) => `${counted} ${programKey(event)}`,
  );
  return { first, lastBound, queriedAtMs, found: undefined, isWaiting: false, pending };
}

function queryFor(key: string, place: Place, failure: PortFailure): PortQuery | undefined {
  const { event, protocol, peer, range, isProof } = failure;
  const nowMs = timeMs(event);
  if (nowMs - place.queriedAtMs < SCAN_MIN_INTERVAL_MS || event.netns === undefined) {
    return undefined;
  }
  return {
    key,
    netns: event.netns,
    pid: event.process?.pid,
    principal: principalOf(event),
    protocol,
    ...(peer !== undefined && { peer }),
    ...(range !== undefined && { range }),
    ...(isProof && { failedAtMs: nowMs }),
  };
}

function observationsOf(
  key: string,
  place: Place,
  failure: PortFailure,
  count: number,
): Observation[] {
  const { found } = place;
  if (found !== undefined && isLocked(failure, found)) {
    return [lockedObservation(place, failure, found, count)];
  }
  // Without an IPv6 source address it fails alike.
  if (!failure.isProof && (found === undefined || takenRatio(found) < FULL_RATIO)) return [];
  return [
    {
      kind: "local_port_exhaustion",
      key,
      opens: true,
      ...incident(failure, count),
      ...replacesForecast(failure),
      describe: (observed) => describeExhaustion(observed, failure, place.found),
    },
  ];
}

function isLocked({ protocol, range }: PortFailure, found: PortQueryResult): boolean {
  return protocol === "tcp" && range === undefined && areLocked(found);
}

function lockedObservation(
  { lastBound }: Place,
  failure: PortFailure,
  found: PortQueryResult,
  count: number,
): Observation {
  return {
    kind: "port_locked_by_bind",
    key: lockedKey(failure.event.netns),
    opens: true,
    ...incident(failure, count),
    ...replacesForecast(failure),
    levels: lockedLevels(found),
    describe: (observed) => describeLocked(observed, found, lastBound()),
  };
}

/** One finding of a namespace: who locks ports does it for all of it. */
export function lockedKey(netns: PortFailure["event"]["netns"]): string {
  return findingNetnsKey(netns);
}

/** By the event's own destination: the finding's may be left out. */
function replacesForecast({ event }: PortFailure): Pick<Observation, "replaces"> {
  if (!isType(event, "connect") || event.protocol !== "tcp") return {};
  const key = destinationKey(event.netns, event.peer);
  return { replaces: { kind: "local_ports_low", key, isForecast: true } };
}

function incident({ event, protocol, counted, peer }: PortFailure, count: number) {
  const local = event.local === undefined ? {} : { local: event.local };
  return {
    count,
    time: event.time,
    netns: event.netns,
    evidence: [event.seq],
    parties: [
      { role: "failed", ...ownerOf(event), failures: count, ...(peer !== undefined && { peer }) },
    ],
    tuples: [{ protocol, ...local, ...(peer !== undefined && { peer }) }],
    consequence: { [counted]: count },
  };
}

/** Who has, or had, the ports; of no interest if the finding is not open. */
function holdersNow(key: string, place: Place): Observation[] {
  const { first, found } = place;
  if (found === undefined) return [];
  const common = {
    opens: false,
    count: 0,
    time: first.event.time,
    netns: first.event.netns,
    evidence: [],
    tuples: [],
    consequence: {},
  };
  if (isLocked(first, found)) {
    const locked = { kind: "port_locked_by_bind", key: lockedKey(first.event.netns) } as const;
    return [{ ...common, ...locked, parties: lockersOf(found), levels: lockedLevels(found) }];
  }
  const { taken, range } = found;
  return [
    {
      ...common,
      kind: "local_port_exhaustion",
      key,
      parties: mostOf(programsOf(found.holders)),
      levels: {
        ports_in_use: taken.total,
        ...(range !== undefined && { ports_in_range: range.available }),
      },
    },
  ];
}
