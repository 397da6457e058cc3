/*
 * A TCP connect() to a local port on which nothing listens reaches its own socket: the kernel chose
 * that very port as the local one (__inet_hash_connect, net/ipv4/inet_hashtables.c: the 4-tuple is
 * free), the SYN comes back over loopback and is taken for that of a peer that opens at the same
 * moment (tcp_rcv_synsent_state_process; RFC 9293, section 3.5). A client that retries until its
 * service is up gets there sooner or later, where the range of local ports has the service's port.
 *
 * Rule: a TCP connect() that ended well, and whose local endpoint is its peer. No finding: the same
 * port at another address.
 */
import type { PortQuery, PortQueryResult } from "../ports/query.ts";
import { FairLruMap } from "../util/fair-lru.ts";
import { most, partyText } from "./blame.ts";
import { type Detector, NOTHING, type Step } from "./detector.ts";
import type { Diagnosis, Observation, Observed, Reference, Remedy } from "./finding.ts";
import { endpointText, IP_SYSCTL, netnsKey, ownerOf, plural } from "./format.ts";
import { type ConnectObserved, type Endpoint, isType, timeMs } from "./observed.ts";
import { reservePorts } from "./port-text.ts";
import { principalOf } from "./principal.ts";
import { advice, remedyIn } from "./remedy.ts";
import { choseOwnPort } from "./technique.ts";

const KIND = "self_connect";
const MAX_NETNS = 64;

/** Of one namespace, of which a command reserves all: each one replaces the whole list. */
const MAX_PORTS = 16;

/** As long as it happens again, the range is read this often. */
const QUERY_INTERVAL_MS = 10_000;

const RFC_9293: Reference = {
  title: "RFC 9293, section 3.5: simultaneous open",
  url: "https://www.rfc-editor.org/rfc/rfc9293.html#section-3.5",
};

/** What is known of a network namespace. */
interface Place {
  /** Those that the kernel chose. */
  readonly ports: Set<number>;
  /** Key of the finding that asked last. */
  lastKey: string;
  last: ConnectObserved;
  queriedAtMs: number;
  found: PortQueryResult | undefined;
}

export function createSelfConnect(): Detector {
  const places = new FairLruMap<string, Place>(MAX_NETNS);
  return { types: ["connect"], take, resolve };

  function take(event: Parameters<Detector["take"]>[0]): Step {
    if (!isType(event, "connect") || !isSelfConnect(event)) return NOTHING;
    const netns = netnsKey(event.netns);
    const key = `${netns} ${endpointText(event.peer)} ${event.process?.comm ?? "?"}`;
    const place = places.get(netns) ?? newPlace(event, key);
    places.set(netns, place, principalOf(event));
    place.last = event;
    place.lastKey = key;
    if (!choseOwnPort(event) && place.ports.size < MAX_PORTS) place.ports.add(event.peer.port);
    const portQuery = queryFor(netns, place, event);
    return {
      observations: [observation(key, place, event)],
      ...(portQuery !== undefined && { portQuery }),
    };
  }

  function resolve(query: PortQuery, found: PortQueryResult | undefined): Observation[] {
    const place = places.get(query.key);
    if (place === undefined || found === undefined) return [];
    place.found = found;
    const levels = found.range === undefined ? {} : { ports_in_range: found.range.available };
    const { time, netns } = place.last;
    const none = { evidence: [], parties: [], tuples: [], consequence: {} };
    return [
      { kind: KIND, key: place.lastKey, opens: false, count: 0, time, netns, ...none, levels },
    ];
  }
}

function newPlace(last: ConnectObserved, lastKey: string): Place {
  const queriedAtMs = Number.NEGATIVE_INFINITY;
  return { ports: new Set(), last, lastKey, queriedAtMs, found: undefined };
}

function isSelfConnect({ protocol, result, local, peer }: ConnectObserved): boolean {
  return protocol === "tcp" && result === "ok" && isSame(local, peer);
}

function isSame(local: Partial<Endpoint> | undefined, peer: Endpoint): boolean {
  return local?.port === peer.port && local.address === peer.address;
}

/** For the range and the reserved ports; who holds ports is of no interest. */
function queryFor(key: string, place: Place, event: ConnectObserved): PortQuery | undefined {
  const nowMs = timeMs(event);
  const { netns, process } = event;
  if (choseOwnPort(event) || netns === undefined) return undefined;
  if (nowMs - place.queriedAtMs < QUERY_INTERVAL_MS) return undefined;
  place.queriedAtMs = nowMs;
  const principal = principalOf(event);
  return { key, netns, pid: process?.pid, principal, protocol: "tcp" };
}

function observation(key: string, place: Place, event: ConnectObserved): Observation {
  const { netns, peer, local, socket_cookie } = event;
  return {
    kind: KIND,
    key,
    opens: true,
    count: 1,
    time: event.time,
    netns,
    evidence: [event.seq],
    parties: [
      {
        role: "client",
        ...ownerOf(event),
        ...(socket_cookie !== undefined && { socket_cookie }),
        ...(local && { local }),
        peer,
      },
    ],
    tuples: [{ protocol: "tcp", ...(local && { local }), peer }],
    consequence: { self_connects: 1 },
    describe: (observed) => describe(observed, event, place),
  };
}

function describe(observed: Observed, event: ConnectObserved, place: Place): Diagnosis {
  const who = partyText(most(observed.parties, "client"), "A process");
  const self = endpointText(event.peer);
  const range = place.found?.range;
  const ports = range === undefined ? "" : `, ${range.low}-${range.high},`;
  const why = choseOwnPort(event)
    ? "The process had bound its socket to the port that it connects to."
    : `The port is of the local ports${ports} that the kernel chooses from (ip_local_port_range), ` +
      "and it chose the very port that the process connects to.";
  return {
    severity: "warning",
    summary:
      `${who} is connected to itself: connect() to ${self} got ${self} as its own address, and ` +
      `reached its own socket${observed.count === 1 ? "" : `, ${plural(observed.count, "time")} so far`}.`,
    explanation:
      `Nothing listened on port ${event.peer.port}. ${why} TCP takes the SYN that comes back for ` +
      "that of a peer which opens at the same moment, and both ends of the connection are one " +
      "socket. The process reads what it writes itself; and as long as the connection is there, " +
      `the service that belongs on port ${event.peer.port} cannot bind it (EADDRINUSE).`,
    remedies: remedies(observed, event, place),
    references: [RFC_9293, IP_SYSCTL],
    confidence: { level: "high", rests_on: "both ends of the connection are one address and port" },
  };
}

function remedies(observed: Observed, event: ConnectObserved, place: Place): Remedy[] {
  const { address, port } = event.peer;
  const see = remedyIn(observed.place, "See the connection; its two ends are the same.", [
    "ss",
    "-tanp",
    `src ${endpointText({ address, port })} and dst ${endpointText({ address, port })}`,
  ]);
  const retry = advice(
    "In a client that retries: close a connection whose getsockname() and getpeername() are the " +
      "same, and wait longer between attempts.",
  );
  if (!choseOwnPort(event)) return [see, reserve(observed, place), retry];
  return [
    see,
    advice(`Do not bind() to port ${port} before connecting to it: let the kernel choose a port.`),
    retry,
  ];
}

function reserve({ place: netns }: Observed, { ports, found }: Place): Remedy {
  const list = [...ports].sort((one, other) => one - other).join(",");
  const summary =
    `Reserve port ${list}: the kernel then chooses others, and a service that asks for it still ` +
    "gets it.";
  return reservePorts(netns, summary, [...ports], found?.range);
}
