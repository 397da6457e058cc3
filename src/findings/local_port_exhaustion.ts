/*
 * connect() finds no local port: every port of ip_local_port_range is in use towards that
 * destination (TCP: EADDRNOTAVAIL, __inet_hash_connect), or by any socket (UDP: EAGAIN,
 * inet_autobind).
 *
 * Rule: such a result where the kernel was to choose the port, `plain` or `bind_address_no_port`.
 * No finding:
 *  - a fixed port (`bound_port`, `reuseaddr`): EADDRNOTAVAIL is then one taken 4-tuple.
 *  - TCP over IPv6, unless a census finds the range nearly full: EADDRNOTAVAIL is also what a
 *    machine without an IPv6 source address gets (ip6_dst_lookup_tail, ipv6_get_saddr).
 */
import { LruMap } from "../enrich/lru.ts";
import {
  type CensusAnswer,
  type CensusQuestion,
  type Detector,
  fill,
  NOTHING,
  type Step,
} from "./detector.ts";
import type { Diagnosis, Observation, Observed, Remedy } from "./finding.ts";
import { type ConnectObserved, type Endpoint, isType, timeMs } from "./observed.ts";
import {
  endpointText,
  IP_7,
  IP_SYSCTL,
  inNetns,
  netnsKey,
  ownerOf,
  pidOf,
  plural,
  processText,
} from "./words.ts";

const KIND = "local_port_exhaustion";

/** Destinations of one namespace that are findings of their own; the others share one. */
const MAX_DESTINATIONS = 4;
const MAX_PLACES = 256;
const MAX_PENDING = 64;
/** Those with most ports, as parties. */
const MAX_HOLDERS = 5;

/** As long as failures go on, who holds the ports is asked this often. */
const ASK_MS = 10_000;

/** A range is full when a few ports, reserved ones perhaps, are left. */
export const FULL = 0.9;
const HALF = 0.5;

const CHOOSES_PORT = ["plain", "bind_address_no_port"];

/** What is known of one key of findings. */
interface Place {
  readonly first: ConnectObserved;
  /** Absent where failures towards many destinations are one finding. */
  readonly peer: Endpoint | undefined;
  askedAtMs: number;
  answer: CensusAnswer | undefined;
  /** Failures that only a census can tell from a lack of IPv6. */
  readonly pending: ConnectObserved[];
}

export function createLocalPortExhaustion(): Detector {
  const places = new LruMap<string, Place>(MAX_PLACES);
  const destinations = new LruMap<string, Set<string>>(MAX_PLACES);
  return { types: ["connect"], take, answer };

  function take(event: Parameters<Detector["take"]>[0]): Step {
    if (!isType(event, "connect") || !isExhaustion(event)) return NOTHING;
    const key = keyOf(event);
    const place = places.get(key) ?? newPlace(event, key);
    places.set(key, place);
    const certain = !needsCensus(event) || (place.answer !== undefined && isFull(place.answer));
    if (!certain && place.pending.length < MAX_PENDING) place.pending.push(event);
    const question = ask(key, place, event);
    return {
      ...(certain && { observations: [failure(key, place, event)] }),
      ...(question !== undefined && { question }),
    };
  }

  function answer(question: CensusQuestion, found: CensusAnswer | undefined): Observation[] {
    const place = places.get(question.key);
    if (place === undefined) return [];
    const pending = place.pending.splice(0);
    if (found === undefined) return [];
    place.answer = found;
    const confirmed = isFull(found) ? pending : [];
    return [
      ...confirmed.map((event) => failure(question.key, place, event)),
      census(question.key, place, found),
    ];
  }

  function keyOf({ protocol, netns, peer }: ConnectObserved): string {
    const place = `${netnsKey(netns)} ${protocol}`;
    if (protocol === "udp") return place;
    const known = destinations.get(place) ?? new Set<string>();
    destinations.set(place, known);
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
    askedAtMs: Number.NEGATIVE_INFINITY,
    answer: undefined,
    pending: [],
  };
}

function isExhaustion({ protocol, result, technique }: ConnectObserved): boolean {
  if (protocol === "udp") return result === "EAGAIN";
  return result === "EADDRNOTAVAIL" && CHOOSES_PORT.includes(technique);
}

function needsCensus({ protocol, family }: ConnectObserved): boolean {
  return protocol === "tcp" && family === "ipv6";
}

function isFull(answer: CensusAnswer): boolean {
  return fill(answer) >= FULL;
}

function ask(key: string, place: Place, event: ConnectObserved): CensusQuestion | undefined {
  const nowMs = timeMs(event);
  if (nowMs - place.askedAtMs < ASK_MS || event.netns === undefined) return undefined;
  place.askedAtMs = nowMs;
  return {
    key,
    netns: event.netns,
    pid: event.process?.pid,
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
    parties: [{ role: "failed", ...ownerOf(event), peer: event.peer }],
    tuples: [
      { protocol: event.protocol, ...(event.local && { local: event.local }), peer: event.peer },
    ],
    consequence: { failed_connects: 1 },
    describe: (observed) => describe(observed, event, place),
  };
}

function census(key: string, place: Place, answer: CensusAnswer): Observation {
  const { first } = place;
  return {
    kind: KIND,
    key,
    opens: false,
    count: 0,
    time: first.time,
    netns: first.netns,
    evidence: [],
    parties: answer.holders.slice(0, MAX_HOLDERS).map(({ process, cgroup, without, ports }) => {
      const who = ownerOf({ ...(process && { process }), ...(cgroup && { cgroup }) });
      return { role: without ?? "holder", ...who, ports };
    }),
    tuples: [],
    consequence: {},
    levels: { ports_in_use: answer.inUse, ports_in_range: answer.range.available },
  };
}

function describe(observed: Observed, event: ConnectObserved, place: Place): Diagnosis {
  const { protocol, result } = event;
  const who = processText(event, "A process");
  const where = place.peer === undefined ? "" : ` to ${endpointText(place.peer)}`;
  const { answer } = place;
  const used =
    answer === undefined
      ? ""
      : `; ${answer.inUse} of the ${answer.range.available} ports ${answer.range.low}-` +
        `${answer.range.high} are in use${holderText(answer)}`;
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
    confidence: confidence(event, answer),
  };
}

function holderText({ holders }: CensusAnswer): string {
  const [most] = holders;
  if (most === undefined) return "";
  const { ports, without } = most;
  const nobody = without === "time_wait" ? "connections in TIME_WAIT" : "sockets of no process";
  return `, ${ports} of them by ${processText(most, nobody)}`;
}

function remedies(observed: Observed, event: ConnectObserved, place: Place): Remedy[] {
  const run = (command: string) => inNetns(command, observed.netns, pidOf(observed.parties));
  const widen = {
    summary: "Widen the range of local ports; keep ports that services listen on out of it.",
    commands: [
      run('sysctl -w net.ipv4.ip_local_port_range="1024 65535"'),
      run("sysctl -w net.ipv4.ip_local_reserved_ports=<ports of services>"),
    ],
  };
  if (event.protocol === "udp") {
    return [
      { summary: "See who holds the ports.", commands: [run("ss -uanp")] },
      { summary: "Reuse sockets, and close those that are not needed.", commands: [] },
      widen,
    ];
  }
  const filter = place.peer === undefined ? "" : ` dst ${endpointText(place.peer)}`;
  return [
    { summary: "See who holds the ports.", commands: [run(`ss -tanp${filter}`)] },
    {
      summary:
        "Keep connections open and reuse them (HTTP keep-alive, a pool), or spread them over more " +
        "destination or source addresses.",
      commands: [],
    },
    {
      summary: "If most are in TIME_WAIT: let new connections take those ports over after 1 s.",
      commands: [run("sysctl -w net.ipv4.tcp_tw_reuse=1")],
    },
    widen,
  ];
}

function confidence(
  event: ConnectObserved,
  answer: CensusAnswer | undefined,
): Diagnosis["confidence"] {
  const basis = `connect() returned ${event.result} where the kernel was to choose the port`;
  if (event.inferred?.includes("result") === true) {
    return { level: "low", rests_on: `${basis}; the result is inferred` };
  }
  if (answer === undefined) {
    return { level: "medium", rests_on: `${basis}; the ports in use were not counted` };
  }
  const percent = Math.round(100 * fill(answer));
  return {
    level: isFull(answer) ? "high" : fill(answer) >= HALF ? "medium" : "low",
    rests_on: `${basis}; ${percent} % of the range was in use when counted shortly after`,
  };
}
