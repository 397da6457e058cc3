/*
 * Two UDP sockets with SO_REUSEADDR (or SO_REUSEPORT) are bound to one local address and connected
 * to one peer. The kernel's lookup takes the one that it meets first (__udp4_lib_lookup,
 * net/ipv4/udp.c): the newer socket gets all answers, also those to the older one's requests.
 *
 * Rule: a UDP connect() that reports a `conflict`, that is a live socket on the same 4-tuple. One
 * process that opens a second socket on its own 4-tuple may mean to replace the first, so that is
 * told, but as information. A socket that connects again, or a closed one, is no conflict.
 */
import { blamedText, most, partyText } from "./blame.ts";
import { type Detector, NOTHING } from "./detector.ts";
import type { Diagnosis, Observation, Observed } from "./finding.ts";
import { endpointText, netnsKey, ownerOf, plural } from "./format.ts";
import { type ConnectObserved, isType } from "./observed.ts";
import { advice, remedyIn } from "./remedy.ts";

type Conflict = NonNullable<ConnectObserved["conflict"]>;

export function createUdpOvershadowing(): Detector {
  return {
    types: ["connect"],
    take(event) {
      if (!isType(event, "connect") || event.result !== "ok") return NOTHING;
      if (event.conflict === undefined) return NOTHING;
      return { observations: [overshadowing(event, event.conflict)] };
    },
  };
}

function overshadowing(event: ConnectObserved, conflict: Conflict): Observation {
  const { netns, peer, local, socket_cookie } = event;
  const names = `${conflict.process?.comm ?? "?"} ${event.process?.comm ?? "?"}`;
  const cookie = socket_cookie === undefined ? {} : { socket_cookie };
  const older = ownerOf(conflict.process === undefined ? {} : { process: conflict.process });
  return {
    kind: "udp_overshadowing",
    key: `${netnsKey(netns)} ${endpointText(peer)} ${names} ${isOwn(event, conflict)}`,
    opens: true,
    count: 1,
    time: event.time,
    netns,
    evidence: [event.seq],
    parties: [
      {
        role: "overshadowed",
        ...older,
        socket_cookie: conflict.socket_cookie,
        local: conflict.local,
        peer,
        failures: 1,
      },
      { role: "receiver", ...ownerOf(event), ...cookie, ...(local && { local }), peer },
    ],
    cause: ownerOf(event),
    tuples: [{ protocol: "udp", local: conflict.local, peer }],
    consequence: { overshadowed_sockets: 1 },
    describe: (observed) => describe(observed, event, conflict),
  };
}

function isOwn(event: ConnectObserved, conflict: Conflict): boolean {
  return conflict.process !== undefined && conflict.process.pid === event.process?.pid;
}

function describe(observed: Observed, event: ConnectObserved, conflict: Conflict): Diagnosis {
  const own = isOwn(event, conflict);
  const { parties } = observed;
  const newer = partyText(most(parties, "receiver"), "a process");
  const older = blamedText(parties, "overshadowed", "an older process");
  const local = { ...conflict.local, ...most(parties, "overshadowed")?.local };
  const tuple = `${endpointText(local)} -> ${endpointText(event.peer)}`;
  return {
    severity: own ? "info" : "warning",
    summary: own
      ? `${newer} connected a second UDP socket to ${tuple}: its first one gets no answers any more.`
      : `The UDP socket of ${older} on ${tuple} gets no answers any more: ${newer} connected ` +
        `another socket to the same addresses and ports` +
        `${observed.count === 1 ? "." : ` (${plural(observed.count, "socket")} so far).`}`,
    explanation:
      "SO_REUSEADDR or SO_REUSEPORT let both sockets take the same local address and port, and " +
      "then both were connected to the same peer. The kernel delivers each datagram to one socket " +
      "only, the newer one; the older one waits in vain, and no call reports an error.",
    remedies: [
      remedyIn(observed.place, "See both sockets.", [
        "ss",
        "-uanp",
        `sport = :${conflict.local.port} and dst ${endpointText(event.peer)}`,
      ]),
      advice(
        "Do not set SO_REUSEADDR or SO_REUSEPORT on UDP sockets that connect: then the kernel " +
          "refuses the second bind() with EADDRINUSE. Or give each socket a local port of its " +
          "own: bind() to port 0.",
      ),
    ],
    references: [
      {
        title: "socket(7): SO_REUSEADDR, SO_REUSEPORT",
        url: "https://man7.org/linux/man-pages/man7/socket.7.html",
      },
    ],
    confidence: confidence(own, conflict),
  };
}

function confidence(own: boolean, conflict: Conflict): Diagnosis["confidence"] {
  if (own) return { level: "low", rests_on: "one process may replace its own socket on purpose" };
  return conflict.process === undefined
    ? { level: "medium", rests_on: "two live sockets on one 4-tuple; who has the older is unknown" }
    : { level: "high", rests_on: "two live sockets of two processes on one 4-tuple" };
}
