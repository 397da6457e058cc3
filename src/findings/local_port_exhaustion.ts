/*
 * connect() finds no local port: every port of ip_local_port_range is in use towards that
 * destination (TCP: EADDRNOTAVAIL, __inet_hash_connect), or by any socket (UDP: EAGAIN,
 * inet_autobind).
 *
 * Rule: such a result where the kernel was to choose the port, `plain` or `bind_address_no_port`.
 * No finding:
 *  - a fixed port (`bound_port`, `reuseaddr`): EADDRNOTAVAIL is then one taken 4-tuple.
 *  - TCP over IPv6, unless a count of ports finds the range nearly full: EADDRNOTAVAIL is also what a
 *    machine without an IPv6 source address gets (ip6_dst_lookup_tail, ipv6_get_saddr).
 */

import type { PortQuery, PortQueryResult } from "../ports/query.ts";
import { FairLruMap } from "../util/fair-lru.ts";
import { blamedText } from "./blame.ts";
import { type Detector, NOTHING, type Step, usedRatio } from "./detector.ts";
import type { Diagnosis, Observation, Observed, Remedy } from "./finding.ts";
import { endpointText, IP_7, IP_SYSCTL, netnsKey, ownerOf, plural, processText } from "./format.ts";
import { type ConnectObserved, type Endpoint, isType, timeMs } from "./observed.ts";
import type { NetnsPlace } from "./place.ts";
import { principalOf } from "./principal.ts";
import { advice, remedyIn } from "./remedy.ts";

const KIND = "local_port_exhaustion";

/** Destinations of one user in a namespace that are findings of their own; others share one. */
const MAX_DESTINATIONS = 4;
const MAX_PLACES = 256;
const MAX_PENDING = 64;
/** Those with most ports, as parties. */
const MAX_HOLDERS = 5;

/** As long as failures go on, who holds the ports is asked this often. */
const SCAN_MIN_INTERVAL_MS = 10_000;

/** A range is full when a few ports, reserved ones perhaps, are left. */
export const FULL_RATIO = 0.9;
const HALF_RATIO = 0.5;

const WIDEST = { low: 1024, high: 65_535 };

const CHOOSES_PORT = ["plain", "bind_address_no_port"];

/** What is known of one key of findings. */
interface Place {
  readonly first: ConnectObserved;
  /** Absent where failures towards many destinations are one finding. */
  readonly peer: Endpoint | undefined;
  queriedAtMs: number;
  ports: PortQueryResult | undefined;
  /** Failures that only a count of ports can tell from a lack of IPv6. */
  readonly pending: ConnectObserved[];
}

export function createLocalPortExhaustion(): Detector {
  const places = new FairLruMap<string, Place>(MAX_PLACES);
  const destinations = new FairLruMap<string, Set<string>>(MAX_PLACES);
  return { types: ["connect"], take, resolve };

  function take(event: Parameters<Detector["take"]>[0]): Step {
    if (!isType(event, "connect") || !isExhaustion(event)) return NOTHING;
    const key = keyOf(event);
    const place = places.get(key) ?? newPlace(event, key);
    places.set(key, place, principalOf(event));
    const certain = !needsPortCount(event) || (place.ports !== undefined && isFull(place.ports));
    if (!certain && place.pending.length < MAX_PENDING) place.pending.push(event);
    const portQuery = queryFor(key, place, event);
    return {
      ...(certain && { observations: [failure(key, place, event)] }),
      ...(portQuery !== undefined && { portQuery }),
    };
  }

  function resolve(query: PortQuery, found: PortQueryResult | undefined): Observation[] {
    const place = places.get(query.key);
    if (place === undefined) return [];
    const pending = place.pending.splice(0);
    if (found === undefined) return [];
    place.ports = found;
    const confirmed = isFull(found) ? pending : [];
    return [
      ...confirmed.map((event) => failure(query.key, place, event)),
      portCount(query.key, place, found),
    ];
  }

  function keyOf(event: ConnectObserved): string {
    const { protocol, netns, peer } = event;
    const place = `${netnsKey(netns)} ${protocol}`;
    if (protocol === "udp") return place;
    const principal = principalOf(event);
    const whose = `${place} ${principal.group} ${principal.user}`;
    const known = destinations.get(whose) ?? new Set<string>();
    destinations.set(whose, known, principal);
    const destination = endpointText(peer);
    if (known.size < MAX_DESTINATIONS) known.add(destination);
    return `${place} ${known.has(destination) ? destination : "*"}`;
  }
}

function newPlace(event: ConnectObserved, key: string): Place {
  const peer = event.protocol === "udp" || key.endsWith("*") ? undefined : event.peer;
  return {
    first: event,
    peer,
    queriedAtMs: Number.NEGATIVE_INFINITY,
    ports: undefined,
    pending: [],
  };
}

function isExhaustion({ protocol, result, technique }: ConnectObserved): boolean {
  if (protocol === "udp") return result === "EAGAIN";
  return result === "EADDRNOTAVAIL" && CHOOSES_PORT.includes(technique);
}

function needsPortCount({ protocol, family }: ConnectObserved): boolean {
  return protocol === "tcp" && family === "ipv6";
}

function isFull(ports: PortQueryResult): boolean {
  return usedRatio(ports) >= FULL_RATIO;
}

function queryFor(key: string, place: Place, event: ConnectObserved): PortQuery | undefined {
  const nowMs = timeMs(event);
  if (nowMs - place.queriedAtMs < SCAN_MIN_INTERVAL_MS || event.netns === undefined)
    return undefined;
  place.queriedAtMs = nowMs;
  return {
    key,
    netns: event.netns,
    pid: event.process?.pid,
    principal: principalOf(event),
    protocol: event.protocol === "udp" ? "udp" : "tcp",
    ...(place.peer !== undefined && { peer: place.peer }),
    holdersFrom: 0,
  };
}

function failure(key: string, place: Place, event: ConnectObserved): Observation {
  return {
    kind: KIND,
    key,
    opens: true,
    count: 1,
    time: event.time,
    netns: event.netns,
    evidence: [event.seq],
    parties: [{ role: "failed", ...ownerOf(event), peer: event.peer, failures: 1 }],
    tuples: [
      { protocol: event.protocol, ...(event.local && { local: event.local }), peer: event.peer },
    ],
    consequence: { failed_connects: 1 },
    describe: (observed) => describe(observed, event, place),
  };
}

function portCount(key: string, place: Place, counted: PortQueryResult): Observation {
  const { first } = place;
  return {
    kind: KIND,
    key,
    opens: false,
    count: 0,
    time: first.time,
    netns: first.netns,
    evidence: [],
    parties: counted.holders.slice(0, MAX_HOLDERS).map(({ process, cgroup, without, ports }) => {
      const who = ownerOf({ ...(process && { process }), ...(cgroup && { cgroup }) });
      return { role: without ?? "holder", ...who, ports };
    }),
    tuples: [],
    consequence: {},
    levels: { ports_in_use: counted.use.in_use, ports_in_range: counted.range.available },
  };
}

function describe(observed: Observed, event: ConnectObserved, place: Place): Diagnosis {
  const { protocol, result } = event;
  const who = blamedText(observed.parties, "failed", "A process");
  const where = place.peer === undefined ? "" : ` to ${endpointText(place.peer)}`;
  const { ports } = place;
  const used =
    ports === undefined
      ? ""
      : `; ${ports.use.in_use} of the ${ports.range.available} ports ${ports.range.low}-` +
        `${ports.range.high} are in use${holderText(ports)}`;
  return {
    severity: "critical",
    summary:
      `${who} found no free local port for ${protocol.toUpperCase()}${where}: connect() failed ` +
      `${plural(observed.count, "time")} with ${result}${used}.`,
    explanation:
      protocol === "udp"
        ? "A UDP socket without a port gets one of ip_local_port_range for itself alone, wherever " +
          "it sends. All of them are taken."
        : "Each connection to one destination needs a local port of its own, and all ports of " +
          "ip_local_port_range are taken towards this one: by open connections, or by closed ones " +
          "in TIME_WAIT, which keep their port for 60 s.",
    remedies: remedies(observed, event, place),
    references: [IP_7, IP_SYSCTL],
    confidence: confidence(event, ports),
  };
}

function holderText({ holders }: PortQueryResult): string {
  const [most] = holders;
  if (most === undefined) return "";
  const { ports, without } = most;
  const nobody = without === "time_wait" ? "connections in TIME_WAIT" : "sockets of no process";
  return `, ${ports} of them by ${processText(most, nobody)}`;
}

function remedies({ place }: Observed, event: ConnectObserved, { peer, ports }: Place): Remedy[] {
  const see = "See who holds the ports.";
  if (event.protocol === "udp") {
    return [
      remedyIn(place, see, ["ss", "-uanp"]),
      advice("Reuse sockets, and close those that are not needed."),
      ...widenRange(place, ports?.range),
    ];
  }
  const towards = peer === undefined ? [] : ["dst", endpointText(peer)];
  return [
    remedyIn(place, see, ["ss", "-tanp", ...towards]),
    advice(
      "Keep connections open and reuse them (HTTP keep-alive, a pool), or spread them over more " +
        "destination or source addresses.",
    ),
    ...(isHeldByOthers(ports)
      ? []
      : [
          remedyIn(
            place,
            "If most are in TIME_WAIT: let new connections take those ports over after 1 s.",
            ["sysctl", "-w", "net.ipv4.tcp_tw_reuse=1"],
          ),
        ]),
    ...widenRange(place, ports?.range),
  ];
}

/** Few of the ports were in TIME_WAIT when they were counted. */
function isHeldByOthers(counted: PortQueryResult | undefined): boolean {
  if (counted === undefined) return false;
  const waiting = counted.holders.filter(({ without }) => without === "time_wait");
  return waiting.reduce((sum, { ports }) => sum + ports, 0) < HALF_RATIO * counted.use.in_use;
}

/** Nothing, where the range is as wide already. */
export function widenRange(
  place: NetnsPlace,
  range: PortQueryResult["range"] | undefined,
): Remedy[] {
  if (range !== undefined && range.low <= WIDEST.low && range.high >= WIDEST.high) return [];
  return [
    remedyIn(
      place,
      "Widen the range of local ports; first put the ports that services listen on into " +
        "net.ipv4.ip_local_reserved_ports.",
      ["sysctl", "-w", `net.ipv4.ip_local_port_range=${WIDEST.low} ${WIDEST.high}`],
    ),
  ];
}

function confidence(
  event: ConnectObserved,
  ports: PortQueryResult | undefined,
): Diagnosis["confidence"] {
  const basis = `connect() returned ${event.result} where the kernel was to choose the port`;
  if (event.inferred?.includes("result") === true) {
    return { level: "low", rests_on: `${basis}; the result is inferred` };
  }
  if (ports === undefined) {
    return { level: "medium", rests_on: `${basis}; the ports in use were not counted` };
  }
  const percent = Math.round(100 * usedRatio(ports));
  return {
    level: isFull(ports) ? "high" : usedRatio(ports) >= HALF_RATIO ? "medium" : "low",
    rests_on: `${basis}; ${percent} % of the range was in use when counted shortly after`,
  };
}
