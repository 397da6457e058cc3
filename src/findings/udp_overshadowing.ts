/*
 * Two UDP sockets with SO_REUSEADDR (or SO_REUSEPORT) are bound to one local address and connected
 * to one peer. The kernel's lookup takes the one that it meets first (__udp4_lib_lookup,
 * net/ipv4/udp.c): the newer socket gets all answers, also those to the older one's requests.
 *
 * Rule: a UDP connect() that reports a `conflict`, that is a live socket on the same 4-tuple. One
 * process that opens a second socket on its own 4-tuple may mean to replace the first, so that is
 * told, but as information; not where the kernel chose the port, which nobody can have meant: among
 * sockets that all have such an option it gives one port to several (udp_lib_lport_inuse). A socket
 * that connects again, or a closed one, is no conflict.
 */
import { blamedText, most, partyText } from "./blame.ts";
import { type Detector, NOTHING } from "./detector.ts";
import type { Diagnosis, Observation, Observed, Remedy } from "./finding.ts";
import { endpointText, netnsKey, ownerOf, plural } from "./format.ts";
import { type ConnectObserved, isType } from "./observed.ts";
import { advice, remedyIn } from "./remedy.ts";
import { choseOwnPort } from "./technique.ts";

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
    key: `${netnsKey(netns)} ${endpointText(peer)} ${names} ${wayOf(event, conflict)}`,
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

/** How the two came together: by the kernel's choice, or by that of one or of two processes. */
function wayOf(event: ConnectObserved, { process }: Conflict): "shared" | "own" | "other" {
  if (!choseOwnPort(event)) return "shared";
  return process !== undefined && process.pid === event.process?.pid ? "own" : "other";
}

function describe(observed: Observed, event: ConnectObserved, conflict: Conflict): Diagnosis {
  const way = wayOf(event, conflict);
  const own = way === "own";
  return {
    severity: own ? "info" : "warning",
    summary: SUMMARIES[way](observed, event, conflict),
    explanation: way === "shared" ? SHARED : CHOSEN,
    remedies: [
      seeBoth(observed, event, conflict),
      way === "shared" ? LEAVE_OUT : LEAVE_OUT_OR_BIND,
    ],
    references: [
      {
        title: "socket(7): SO_REUSEADDR, SO_REUSEPORT",
        url: "https://man7.org/linux/man-pages/man7/socket.7.html",
      },
    ],
    confidence: confidence(way, conflict),
  };
}

const DELIVERY =
  "The kernel delivers each datagram to one socket only, the newer one; the older one waits in vain, " +
  "and no call reports an error.";

const CHOSEN =
  "SO_REUSEADDR or SO_REUSEPORT let both sockets take the same local address and port, and then " +
  `both were connected to the same peer. ${DELIVERY}`;

const SHARED =
  "The sockets have SO_REUSEADDR or SO_REUSEPORT and leave their local port to the kernel: they " +
  "connect without bind(), or bind to port 0. Among such sockets it gives the same port to several, " +
  `also towards one peer. ${DELIVERY} Whoever has the newer one reads answers to questions that it ` +
  "did not ask.";

const LEAVE_OUT_OR_BIND = advice(
  "Do not set SO_REUSEADDR or SO_REUSEPORT on UDP sockets that connect: then the kernel refuses the " +
    "second bind() with EADDRINUSE. Or give each socket a local port of its own: bind() to port 0.",
);

const LEAVE_OUT = advice(
  "Do not set SO_REUSEADDR or SO_REUSEPORT on UDP sockets that connect without a local port of their " +
    "own: without them the kernel gives each socket a port that no other one has.",
);

type Summary = (observed: Observed, event: ConnectObserved, conflict: Conflict) => string;

const SUMMARIES: Readonly<Record<ReturnType<typeof wayOf>, Summary>> = {
  own: (observed, event, conflict) =>
    `${newerOf(observed)} connected a second UDP socket to ${tupleOf(event, conflict)}: its first one ` +
    "gets no answers any more.",
  other: (observed, event, conflict) => {
    const { count, parties } = observed;
    const local = { ...conflict.local, ...most(parties, "overshadowed")?.local };
    return (
      `The UDP socket of ${blamedText(parties, "overshadowed", "an older process")} on ` +
      `${endpointText(local)} -> ${endpointText(event.peer)} gets no answers any more: ` +
      `${newerOf(observed)} connected another socket to the same addresses and ports` +
      `${count === 1 ? "." : ` (${plural(count, "socket")} so far).`}`
    );
  },
  shared: (observed, event, conflict) => {
    const { count, parties } = observed;
    const newer = newerOf(observed);
    const older = partyText(most(parties, "overshadowed"), "another process");
    return (
      `The kernel gave ${plural(count, "UDP socket")} of ${newer} to ${endpointText(event.peer)} a ` +
      `local port that an older socket of ${newer === older ? "its own" : older} has there: answers ` +
      `to one go to the other (${count === 1 ? "shared" : "last shared"}: ${tupleOf(event, conflict)}).`
    );
  },
};

function newerOf({ parties }: Observed): string {
  return partyText(most(parties, "receiver"), "a process");
}

function tupleOf({ peer }: ConnectObserved, { local }: Conflict): string {
  return `${endpointText(local)} -> ${endpointText(peer)}`;
}

function seeBoth({ place }: Observed, { peer }: ConnectObserved, { local }: Conflict): Remedy {
  const filter = `sport = :${local.port} and dst ${endpointText(peer)}`;
  return remedyIn(place, "See both sockets.", ["ss", "-uanp", filter]);
}

function confidence(way: ReturnType<typeof wayOf>, { process }: Conflict): Diagnosis["confidence"] {
  if (way === "own") {
    return { level: "low", rests_on: "one process may replace its own socket on purpose" };
  }
  const sockets = way === "shared" ? ", whose port the kernel chose" : "";
  if (process === undefined) {
    const basis = `two live sockets on one 4-tuple${sockets}; who has the older is unknown`;
    return { level: "medium", rests_on: basis };
  }
  const whose = way === "shared" ? "" : " of two processes";
  return { level: "high", rests_on: `two live sockets${whose} on one 4-tuple${sockets}` };
}
