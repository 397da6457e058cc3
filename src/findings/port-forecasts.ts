/*
 * local_ports_low: what counts of all ports one after the other, or slow searches for one, make likely,
 * is looked at more closely before it is said. Only that count knows what bind() has locked, and who
 * opened the ports.
 */
import type { PortQuery, PortQueryResult } from "../ports/query.ts";
import type { DestinationOutlook } from "../ports/trend.ts";
import { FairLruMap } from "../util/fair-lru.ts";
import { type Detector, NOTHING, type Step } from "./detector.ts";
import type { Observation } from "./finding.ts";
import {
  describeLow,
  HALF_RATIO,
  type LowPorts,
  lowPortsOf,
  openersOf,
  type Suspicion,
} from "./local_ports_low.ts";
import { type Endpoint, isType, type NetnsName, timeMs } from "./observed.ts";
import { destinationKey } from "./port-failure.ts";
import { lockedKey } from "./port-failures.ts";
import { isSlowSearch, SlowSearches } from "./port-search.ts";
import { mostOf } from "./port-text.ts";
import { principalOf } from "./principal.ts";

const MAX_PLACES = 256;
/** Of one count of all ports, those that are nearest to their end: a closer look costs. */
const MAX_QUERIES = 8;
/** As long as it goes on. */
const QUERY_MIN_INTERVAL_MS = 30_000;

/** TCP connections of one namespace to one destination. */
interface Place {
  readonly netns: NetnsName;
  readonly peer: Endpoint;
  readonly searches: SlowSearches;
  queriedAtMs: number;
  /** Of the last query. */
  time: string;
  suspicion: Suspicion;
  evidence: readonly number[];
}

export function createPortForecasts(): Detector {
  const places = new FairLruMap<string, Place>(MAX_PLACES);
  return { types: ["connect"], take, takePorts, resolve };

  function placeOf(netns: NetnsName, peer: Endpoint): Place {
    const key = destinationKey(netns, peer);
    const place = places.get(key) ?? newPlace(netns, peer);
    places.set(key, place, principalOf({ netns }));
    return place;
  }

  function take(event: Parameters<Detector["take"]>[0]): Step {
    if (!isType(event, "connect") || event.netns === undefined || !isSlowSearch(event)) {
      return NOTHING;
    }
    const place = placeOf(event.netns, event.peer);
    const nowMs = timeMs(event);
    if (!place.searches.note(event) || !isDue(place, nowMs)) return NOTHING;
    const evidence = place.searches.within(nowMs);
    const portQuery = startQuery(place, {
      time: event.time,
      nowMs,
      evidence,
      suspicion: { slowSearches: evidence.length },
    });
    return { portQuery };
  }

  function takePorts(
    outlooks: readonly DestinationOutlook[],
    time: string,
    nowMs: number,
  ): readonly PortQuery[] {
    return outlooks
      .filter(isNearEnd)
      .sort((one, other) => other.ratio - one.ratio)
      .map((outlook) => ({ outlook, place: placeOf(outlook.netns, outlook.destination.peer) }))
      .filter(({ place }) => isDue(place, nowMs))
      .slice(0, MAX_QUERIES)
      .map(({ outlook: { exhaustedInS }, place }) =>
        startQuery(place, { time, nowMs, evidence: [], suspicion: { exhaustedInS } }),
      );
  }

  function resolve(query: PortQuery, found: PortQueryResult | undefined): Observation[] {
    const place = places.get(query.key);
    if (place === undefined || found === undefined) return [];
    const low = lowPortsOf(place.peer, found, place.suspicion);
    return low === undefined ? [] : [observationOf(query.key, place, low)];
  }
}

function newPlace(netns: NetnsName, peer: Endpoint): Place {
  return {
    netns,
    peer,
    searches: new SlowSearches(),
    queriedAtMs: Number.NEGATIVE_INFINITY,
    time: "",
    suspicion: {},
    evidence: [],
  };
}

function isNearEnd({ destination, ratio, exhaustedInS }: DestinationOutlook): boolean {
  return destination.protocol === "tcp" && (ratio >= HALF_RATIO || exhaustedInS !== undefined);
}

function isDue({ queriedAtMs }: Place, nowMs: number): boolean {
  return nowMs - queriedAtMs >= QUERY_MIN_INTERVAL_MS;
}

interface Reason {
  readonly time: string;
  readonly nowMs: number;
  readonly suspicion: Suspicion;
  readonly evidence: readonly number[];
}

function startQuery(place: Place, { time, nowMs, suspicion, evidence }: Reason): PortQuery {
  Object.assign(place, { queriedAtMs: nowMs, time, suspicion, evidence });
  const { netns, peer } = place;
  return {
    key: destinationKey(netns, peer),
    netns,
    pid: undefined,
    principal: principalOf({ netns }),
    protocol: "tcp",
    peer,
  };
}

function observationOf(key: string, place: Place, low: LowPorts): Observation {
  const { netns, peer, time, evidence } = place;
  const { found, taken } = low;
  return {
    kind: "local_ports_low",
    key,
    opens: true,
    count: 1,
    time,
    netns,
    evidence,
    parties: mostOf(openersOf(found)),
    tuples: [{ protocol: "tcp", peer }],
    consequence: {},
    levels: {
      ports_in_use: taken + found.taken.locked,
      ...(found.range !== undefined && { ports_in_range: found.range.available }),
    },
    yieldsTo: [
      { kind: "local_port_exhaustion", key },
      { kind: "port_locked_by_bind", key: lockedKey(netns) },
    ],
    describe: (observed) => describeLow(observed, low),
  };
}
