/*
 * A SYN arrives on an established 4-tuple: something between two clients and this machine, a NAT
 * gateway before a load balancer with several front ends, say, gave the second client's connection
 * the tuple of the first. The kernel answers with a challenge ACK (RFC 5961, section 4.2). The
 * second client knows nothing of what it acknowledges and resets (RFC 9293, section 3.10.7.3), and
 * the first connection, which was well, is gone.
 *
 * Rule: a SYN challenged on an established connection, the challenge was sent, and the peer's reset
 * follows within three seconds, on the same socket. Before Linux 6.4 half of these SYNs are refused
 * for their timestamp instead (trigger `paws`), with the same end. No finding:
 *  - `survived`, `closed`: a blind probe; the true peer ignores the challenge ACK.
 *  - nothing was received for more than 60 s before: a peer that restarted or a middlebox that
 *    forgot the connection looks exactly so, and the reset is what RFC 5961 wants then.
 */
import { FairLruMap } from "../util/fair-lru.ts";
import { ShellVariable, type Words } from "../util/shell.ts";
import { NS_PER_MS } from "../util/units.ts";
import { blamedText } from "./blame.ts";
import { type Detector, NOTHING, type Step } from "./detector.ts";
import type { Diagnosis, Observation, Observed, Remedy } from "./finding.ts";
import { endpointText, isIpv6, netnsKey, ownerOf, plural, secondsOf } from "./format.ts";
import {
  type ChallengeAckObserved,
  type ChallengeOutcomeObserved,
  type ConnectObserved,
  type Endpoint,
  isType,
  timeMs,
} from "./observed.ts";
import { principalOf } from "./principal.ts";
import { remedyElsewhere, remedyIn } from "./remedy.ts";
import { iptablesSourceNat, nftSourceNat } from "./rules.ts";

const KIND = "four_tuple_collision";

/** Challenged connections in the last ten seconds or so, and collisions whose newcomer may tell. */
const MAX_CHALLENGED = 4096;
const MAX_COLLISIONS = 512;

/** Seqs kept of one connection's challenges. */
const MAX_SEQS = 5;

const SYN_TRIGGERS: ReadonlySet<string> = new Set(["syn", "paws"]);

/** A reset in answer to the challenge takes one round trip. */
const MAX_RESET_DELAY_NS = 3e9;

const MAX_IDLE_NS = 60e9;
/** A machine that restarted needs longer to come back. */
const SURELY_ALIVE_NS = 10e9;

/** The newcomer's SYN is sent again after 1, 3, 7 s. */
const NEWCOMER_MS = 15_000;

interface Challenged {
  readonly first: ChallengeAckObserved;
  readonly seqs: number[];
  sent: boolean;
}

interface Collision {
  readonly key: string;
  /** Of the connection that was reset. */
  readonly place: string;
  readonly atMs: number;
  /** Another namespace had one on the same tuple: whose newcomer it was does not show. */
  readonly isShared: boolean;
}

export function createFourTupleCollision(): Detector {
  const challenged = new FairLruMap<string, Challenged>(MAX_CHALLENGED);
  const collisions = new FairLruMap<string, Collision>(MAX_COLLISIONS);
  return {
    types: ["challenge_ack", "challenge_outcome", "connect"],
    take(event) {
      if (isType(event, "challenge_ack")) return note(event);
      if (isType(event, "challenge_outcome")) return conclude(event);
      return isType(event, "connect") ? newcomer(event) : NOTHING;
    },
  };

  function note(event: ChallengeAckObserved): Step {
    if (!SYN_TRIGGERS.has(event.trigger) || event.tcp_state !== "established") return NOTHING;
    const id = connectionId(event);
    const known = challenged.get(id) ?? { first: event, seqs: [], sent: false };
    known.sent ||= event.sent !== false;
    if (known.seqs.length < MAX_SEQS) known.seqs.push(event.seq);
    challenged.set(id, known, principalOf(event));
    return NOTHING;
  }

  function conclude(outcome: ChallengeOutcomeObserved): Step {
    const id = connectionId(outcome);
    const known = challenged.get(id);
    challenged.delete(id);
    if (known?.sent !== true || outcome.outcome !== "reset_by_peer") return NOTHING;
    if (outcome.delay_ns > MAX_RESET_DELAY_NS) return NOTHING;
    const idleNs = known.first.idle_ns;
    if (idleNs !== undefined && idleNs > MAX_IDLE_NS) return NOTHING;
    const observation = collision(known, outcome);
    noteCollision(outcome, observation.key);
    return { observations: [observation] };
  }

  function noteCollision(outcome: ChallengeOutcomeObserved, key: string): void {
    const tuple = pairText(outcome.peer, outcome.local);
    const place = netnsKey(outcome.netns);
    const atMs = timeMs(outcome);
    const before = collisions.get(tuple);
    const isShared =
      before !== undefined &&
      atMs - before.atMs <= NEWCOMER_MS &&
      (before.isShared || before.place !== place);
    collisions.set(tuple, { key, place, atMs, isShared }, principalOf(outcome));
  }

  /**
   * The other connection, where both ends are on this machine and no NAT is between them: its
   * connect() began before the reset and went on after it.
   */
  function newcomer(event: ConnectObserved): Step {
    if (event.protocol !== "tcp" || event.syn_retransmits === 0) return NOTHING;
    const { address, port } = event.local ?? {};
    if (address === undefined || port === undefined) return NOTHING;
    const found = collisions.get(pairText({ address, port }, event.peer));
    if (found === undefined || found.isShared) return NOTHING;
    const endMs = timeMs(event);
    const isMeanwhile = endMs >= found.atMs && endMs - event.duration_ns / NS_PER_MS <= found.atMs;
    if (!isMeanwhile || endMs - found.atMs > NEWCOMER_MS) return NOTHING;
    const seconds = secondsOf(event.duration_ns);
    return {
      observations: [
        {
          kind: KIND,
          key: found.key,
          opens: false,
          count: 0,
          time: event.time,
          netns: undefined,
          evidence: [event.seq],
          parties: [
            { role: "newcomer", ...ownerOf(event), local: { address, port }, peer: event.peer },
          ],
          tuples: [],
          consequence: {
            delayed_flows: 1,
            delay_seconds: seconds,
            delay_seconds_max: seconds,
            ...(event.result !== "ok" && { failed_connects: 1 }),
          },
        },
      ],
    };
  }
}

function collision({ first, seqs }: Challenged, outcome: ChallengeOutcomeObserved): Observation {
  const { local, peer, netns, socket_cookie } = outcome;
  const cookie = socket_cookie === undefined ? {} : { socket_cookie };
  return {
    kind: KIND,
    key: `${netnsKey(netns)} ${endpointText(local)} ${peer.address}`,
    opens: true,
    count: 1,
    time: outcome.time,
    netns,
    evidence: [...seqs, outcome.seq],
    parties: [
      { role: "reset", ...ownerOf(outcome), ...cookie, local, peer, failures: 1 },
      { role: "newcomer", local: peer, peer: local },
    ],
    tuples: [{ protocol: "tcp", local, peer }],
    consequence: { resets: 1, challenged_syns: outcome.challenges },
    describe: (observed) => describe(observed, first, outcome),
  };
}

function describe(
  { count, consequence, parties, place }: Observed,
  { idle_ns: idleNs, local, peer, inferred }: ChallengeAckObserved,
  outcome: ChallengeOutcomeObserved,
): Diagnosis {
  const owner = blamedText(parties, "reset", "a process on this machine");
  const delayed = consequence.delayed_flows ?? 0;
  return {
    severity: "critical",
    summary:
      `${plural(count, "established TCP connection")} of ${owner} on ${endpointText(local)} ` +
      `${count === 1 ? "was" : "were"} reset because a new connection from ${peer.address} ` +
      `arrived with the same addresses and ports (last: ${endpointText(peer)})` +
      `${delayed === 0 ? "" : `; ${plural(delayed, "new connection")} had to try again`}.`,
    explanation:
      "Two connections got the same 4-tuple on the way here, as when a NAT gateway uses a source " +
      "port again towards two load-balancer nodes that both keep the client's address. The kernel " +
      "answered the second SYN with a challenge ACK; its sender did not know of the first " +
      "connection and answered with a reset, which ended the first one.",
    remedies: [
      ...randomPorts(local, peer),
      remedyElsewhere(
        "a machine with the AWS CLI",
        "Let one load balancer node serve each target, or hide client addresses from targets " +
          "(AWS Network Load Balancer).",
        modifyTargetGroup("load_balancing.cross_zone.enabled"),
        modifyTargetGroup("preserve_client_ip.enabled"),
      ),
      remedyIn(
        place,
        "See which segments come, 20 of them: two front ends show as two TTLs or MAC addresses.",
        ["tcpdump", "-l", "-c", "20", "-nevv", "-i", "any", segmentFilter(local, peer)],
      ),
    ],
    references: [
      {
        title: "RFC 5961, section 4: blind reset attack using the SYN bit",
        url: "https://www.rfc-editor.org/rfc/rfc5961#section-4",
      },
      {
        title: "Troubleshoot your Network Load Balancer: client IP preservation",
        url: "https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-troubleshooting.html",
      },
    ],
    confidence: confidence(idleNs, outcome.delay_ns, inferred !== undefined),
  };
}

function randomPorts(local: Endpoint, peer: Endpoint): Remedy[] {
  const rule = { protocol: "tcp", port: local.port, source: peer.address, random: true } as const;
  const where = `the NAT gateway whose address is ${peer.address}`;
  return [
    remedyElsewhere(
      where,
      "Choose source ports at random, so that two front ends seldom get the same one; more source " +
        "addresses make it rarer still. Where the front ends listen on another port than " +
        `${local.port}, put that.`,
      nftSourceNat(rule),
    ),
    remedyElsewhere(where, "The same with iptables.", iptablesSourceNat(rule)),
  ];
}

function modifyTargetGroup(attribute: string): Words {
  return [
    ...(["aws", "elbv2", "modify-target-group-attributes"] as const),
    ...["--target-group-arn", new ShellVariable("TARGET_GROUP_ARN")],
    ...["--attributes", `Key=${attribute},Value=false`],
  ];
}

/** SYN and RST; `tcp[]` knows IPv4 alone (pcap-filter(7)), over IPv6 the flags are byte 13 after 40. */
function segmentFilter(local: Endpoint, peer: Endpoint): string {
  const flags = isIpv6(peer.address)
    ? "ip6[53] & 6 != 0"
    : "tcp[tcpflags] & (tcp-syn|tcp-rst) != 0";
  return `host ${peer.address} and tcp port ${local.port} and ${flags}`;
}

function confidence(
  idleNs: number | undefined,
  delayNs: number,
  inferred: boolean,
): Diagnosis["confidence"] {
  const basis = `a challenged SYN, and the peer's reset ${secondsOf(delayNs)} s later`;
  if (idleNs === undefined) {
    return { level: "medium", rests_on: `${basis}; how long it had been idle is not known` };
  }
  const alive = `${basis}; the connection had received something ${secondsOf(idleNs)} s before`;
  return { level: idleNs > SURELY_ALIVE_NS || inferred ? "medium" : "high", rests_on: alive };
}

function connectionId(event: ChallengeAckObserved | ChallengeOutcomeObserved): string {
  const { socket_cookie, netns, local, peer } = event;
  return socket_cookie ?? `${netnsKey(netns)} ${pairText(local, peer)}`;
}

function pairText(local: Endpoint, peer: Endpoint): string {
  return `${endpointText(local)} ${endpointText(peer)}`;
}
