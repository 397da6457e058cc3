/*
 * Calls that failed for a port of their own choice: port_held_by_connection and source_tuple_taken.
 * Who has it only a look at the sockets tells, so each failure waits for one.
 */
import type { PortQuery, PortQueryResult } from "../ports/query.ts";
import { FairLruMap } from "../util/fair-lru.ts";
import { type Detector, NOTHING, type Step } from "./detector.ts";
import type { Observation, Party } from "./finding.ts";
import { endpointText, findingNetnsKey, ownerOf } from "./format.ts";
import {
  type ConnectObserved,
  isType,
  type ObservedEvent,
  type PortBindObserved,
  timeMs,
} from "./observed.ts";
import { PendingFailures } from "./pending-failures.ts";
import { describeHeldPort, isHeldByChance } from "./port_held_by_connection.ts";
import { programKey } from "./port-failure.ts";
import { mostOf, programsOf } from "./port-text.ts";
import { principalOf } from "./principal.ts";
import { describeTakenTuple, isTaken } from "./source_tuple_taken.ts";
import { choseOwnPort } from "./technique.ts";

const MAX_PLACES = 256;
const QUERY_INTERVAL_MS = 10_000;

type Failure =
  | { readonly kind: "port_held_by_connection"; readonly event: PortBindObserved }
  | { readonly kind: "source_tuple_taken"; readonly event: ConnectObserved };

interface Place {
  queriedAtMs: number;
  isWaiting: boolean;
  found: PortQueryResult | undefined;
  readonly pending: PendingFailures<Failure>;
}

export function createPortConflicts(): Detector {
  const places = new FairLruMap<string, Place>(MAX_PLACES);
  return { types: ["connect", "port_bind"], take, resolve };

  function take(event: ObservedEvent): Step {
    const failure = failureOf(event);
    if (failure === undefined) return NOTHING;
    const key = keyOf(failure);
    const place = places.get(key) ?? newPlace();
    places.set(key, place, principalOf(event));
    const portQuery = queryFor(key, place, failure);
    if (portQuery !== undefined) {
      place.queriedAtMs = timeMs(event);
      place.isWaiting = true;
    }
    if (place.isWaiting) place.pending.add(failure);
    return {
      observations: place.isWaiting ? [] : observationsOf(key, place.found, failure, 1),
      ...(portQuery !== undefined && { portQuery }),
    };
  }

  function resolve(query: PortQuery, found: PortQueryResult | undefined): Observation[] {
    const place = places.get(query.key);
    if (place === undefined) return [];
    place.found = found;
    place.isWaiting = false;
    return place.pending
      .takeAll()
      .flatMap(({ failure, count }) => observationsOf(query.key, found, failure, count));
  }
}

function newPlace(): Place {
  const queriedAtMs = Number.NEGATIVE_INFINITY;
  const pending = new PendingFailures<Failure>(({ event }) => programKey(event));
  return { queriedAtMs, isWaiting: false, found: undefined, pending };
}

function failureOf(event: ObservedEvent): Failure | undefined {
  if (isType(event, "connect")) {
    const { protocol, result, local } = event;
    const isOwn = choseOwnPort(event) && local?.port !== undefined;
    const isIt = protocol === "tcp" && result === "EADDRNOTAVAIL" && isOwn;
    return isIt ? { kind: "source_tuple_taken", event } : undefined;
  }
  if (!isType(event, "port_bind") || event.result !== "EADDRINUSE") return undefined;
  const isOwn = event.technique === "fixed_port" || event.technique === "listen";
  if (!isOwn || event.local?.port === undefined) return undefined;
  return { kind: "port_held_by_connection", event };
}

function keyOf({ kind, event }: Failure): string {
  const place = `${findingNetnsKey(event.netns)} ${event.protocol} ${event.local?.port}`;
  return kind === "source_tuple_taken" ? `${place} ${endpointText(event.peer)}` : place;
}

function queryFor(key: string, place: Place, { event, kind }: Failure): PortQuery | undefined {
  const nowMs = timeMs(event);
  const port = event.local?.port;
  if (nowMs - place.queriedAtMs < QUERY_INTERVAL_MS) return undefined;
  if (event.netns === undefined || port === undefined) return undefined;
  return {
    key,
    netns: event.netns,
    pid: event.process?.pid,
    principal: principalOf(event),
    protocol: event.protocol === "udp" ? "udp" : "tcp",
    port,
    ...(kind === "source_tuple_taken" && { peer: event.peer }),
  };
}

function observationsOf(
  key: string,
  found: PortQueryResult | undefined,
  failure: Failure,
  count: number,
): Observation[] {
  if (failure.kind === "source_tuple_taken") {
    return isTaken(failure.event, found) ? [takenTuple(found, failure.event, count)] : [];
  }
  if (found === undefined || !isHeldByChance(found)) return [];
  return [heldPort(key, found, failure.event, count)];
}

function heldPort(
  key: string,
  found: PortQueryResult,
  event: PortBindObserved,
  count: number,
): Observation {
  return {
    kind: "port_held_by_connection",
    key,
    ...incident(event, count, mostOf(programsOf(found.holders))),
    tuples: [{ protocol: event.protocol, ...(event.local && { local: event.local }) }],
    consequence: { failed_binds: count },
    describe: (observed) => describeHeldPort(observed, event, found),
  };
}

/** A program that tries many ports of its own towards one destination has one finding. */
function takenTuple(
  found: PortQueryResult | undefined,
  event: ConnectObserved,
  count: number,
): Observation {
  const { local, peer, holder } = event;
  const seen = mostOf(programsOf(found?.holders ?? []));
  const known: readonly Party[] = holder === undefined ? [] : [{ role: "holder", ...holder }];
  return {
    kind: "source_tuple_taken",
    key: `${findingNetnsKey(event.netns)} ${endpointText(peer)} ${programKey(event)}`,
    ...incident(event, count, seen.some(({ process }) => process !== undefined) ? seen : known),
    tuples: [{ protocol: "tcp", ...(local && { local }), peer }],
    consequence: { failed_connects: count },
    describe: (observed) => describeTakenTuple(observed, event, found),
  };
}

function incident(
  event: ConnectObserved | PortBindObserved,
  count: number,
  holders: readonly Party[],
) {
  return {
    opens: true,
    count,
    time: event.time,
    netns: event.netns,
    evidence: [event.seq],
    parties: [{ role: "failed", ...ownerOf(event), failures: count }, ...holders],
  };
}
