/*
 * A port that one socket released is taken by another while conntrack still has the old flow (UDP:
 * nf_conntrack_udp_timeout, 30 s; nf_conntrack_udp_timeout_stream, 120 s). NAT rules are consulted
 * for a flow's first packet only (nf_nat_inet_fn), so the new socket's packets follow the old
 * flow's translation. With a transparent proxy whose own traffic is exempt from the redirection,
 * its packets come back to itself.
 *
 * Rule: stale_flow_reuse of an entry that redirects, by a socket for which the rules may decide
 * otherwise: of another user, program or cgroup than the old one. No finding: an entry without NAT,
 * or that only translates the source, since the packet goes where it was sent; the same program
 * again, for which the rules would do the same. Sent to another machine, a service's, say, the rules
 * mostly would as well: that is told as information.
 */
import type { Words } from "../util/shell.ts";
import { blamedText, most, partyText } from "./blame.ts";
import { type Detector, NOTHING } from "./detector.ts";
import type { Diagnosis, Observation, Observed, Remedy } from "./finding.ts";
import {
  CONNTRACK_SYSCTL,
  endpointText,
  IPTABLES_EXTENSIONS,
  isIpv6,
  NFT_8,
  ownerOf,
  placeKey,
  plural,
  secondsOf,
} from "./format.ts";
import { type Endpoint, isType, type StaleFlowObserved } from "./observed.ts";
import { remedyIn } from "./remedy.ts";
import { familyOf, nftTable, TABLE } from "./rules.ts";

const NOTRACK = ["-j", "CT", "--notrack"];

const LOOPBACK = /^(127\.|::1$)/;

export function createStaleConntrackReuse(): Detector {
  return {
    types: ["stale_flow_reuse"],
    take(event) {
      if (!isType(event, "stale_flow_reuse")) return NOTHING;
      const target = actualDestination(event);
      if (!isRedirected(event, target) || isSameProgram(event)) return NOTHING;
      return { observations: [reuse(event, target)] };
    },
  };
}

/** Where the old flow's answers come from is where its packets go. */
function actualDestination(event: StaleFlowObserved): Endpoint {
  return event.actual_destination ?? event.reply.src;
}

function isRedirected({ nat, original }: StaleFlowObserved, target: Endpoint): boolean {
  const translates = nat === "dnat" || nat === "both";
  return translates && endpointText(target) !== endpointText(original.dst);
}

/** As far as known, NAT rules cannot tell the new socket from the old one. */
function isSameProgram({ process, cgroup, old_owner: old }: StaleFlowObserved): boolean {
  if (old?.process === undefined || process === undefined) return false;
  return (
    old.process.uid === process.uid &&
    old.process.comm === process.comm &&
    idOf(old.cgroup) === idOf(cgroup)
  );
}

function idOf(cgroup: object | undefined): unknown {
  return (cgroup as { id?: string } | undefined)?.id;
}

function isLocal({ original }: StaleFlowObserved, { address }: Endpoint): boolean {
  return LOOPBACK.test(address) || address === original.src.address;
}

function reuse(event: StaleFlowObserved, target: Endpoint): Observation {
  const { netns, original, reply, protocol, socket_cookie } = event;
  const old: NonNullable<StaleFlowObserved["old_owner"]> = event.old_owner ?? {};
  const oldCookie = old.socket_cookie === undefined ? {} : { socket_cookie: old.socket_cookie };
  const cookie = socket_cookie === undefined ? {} : { socket_cookie };
  const names = `${event.process?.comm ?? "?"} ${old.process?.comm ?? "?"}`;
  return {
    kind: "stale_conntrack_reuse",
    key: `${placeKey(event)} ${protocol} ${endpointText(original.dst)} ${names}`,
    opens: true,
    count: 1,
    time: event.time,
    netns,
    evidence: [event.seq],
    parties: [
      {
        role: "misdirected",
        ...ownerOf(event),
        ...cookie,
        local: original.src,
        peer: original.dst,
        failures: 1,
      },
      {
        role: "former_owner",
        ...ownerOf(old),
        ...oldCookie,
        local: original.src,
        peer: original.dst,
      },
    ],
    tuples: [{ protocol, original, reply, actual_destination: target }],
    consequence: { misdirected_flows: 1, entry_age_seconds_max: secondsOf(event.age_ns) },
    describe: (observed) => describe(observed, event, target),
  };
}

function describe(observed: Observed, event: StaleFlowObserved, target: Endpoint): Diagnosis {
  const { original } = event;
  const local = isLocal(event, target);
  const { port = original.src.port } = most(observed.parties, "misdirected")?.local ?? {};
  const who = blamedText(observed.parties, "misdirected", "A process");
  const old = partyText(most(observed.parties, "former_owner"), "a socket that is closed");
  return {
    severity: local ? "critical" : "info",
    summary:
      `${who} sends to ${endpointText(original.dst)}, but its packets go to ` +
      `${endpointText(target)}${local ? ", on this machine, perhaps back to itself" : ""}: its ` +
      `port ${port} still has the NAT entry of ${old}` +
      `${observed.count === 1 ? "." : ` (${plural(observed.count, "flow")} so far).`}`,
    explanation:
      `The conntrack entry ${secondsOf(event.age_ns)} s old outlived the socket it was made for. ` +
      "NAT rules are consulted for the first packet of a flow only, and to conntrack this is the " +
      "old flow going on: whatever exempts this process from the redirection is not looked at.",
    remedies: [
      remedyIn(observed.place, "Delete the entry.", deleteEntry(event)),
      remedyIn(
        observed.place,
        "Have entries like it forgotten sooner.",
        ["sysctl", "-w", "net.netfilter.nf_conntrack_udp_timeout=10"],
        ["sysctl", "-w", "net.netfilter.nf_conntrack_udp_timeout_stream=30"],
      ),
      ...(local ? exempt(observed, event, target) : []),
    ],
    references: [IPTABLES_EXTENSIONS, NFT_8, CONNTRACK_SYSCTL],
    confidence: confidence(event, local),
  };
}

function deleteEntry({ protocol, original: { src, dst }, zone }: StaleFlowObserved): Words {
  return [
    ...(["conntrack", "-D", "-p", protocol] as const),
    ...["-s", src.address, "--sport", String(src.port)],
    ...["-d", dst.address, "--dport", String(dst.port)],
    ...(zone === 0 ? [] : ["-w", String(zone)]),
  ];
}

/**
 * Packets without a conntrack entry meet no NAT, and their answers need none either: those that a
 * socket here waits for, since what this machine forwards and masquerades must keep its entries.
 * A rule by user is of no use where both programs are of one user.
 */
function exempt(
  { place }: Observed,
  { protocol, original, process, old_owner: old }: StaleFlowObserved,
  target: Endpoint,
): Remedy[] {
  const uid = process?.uid;
  if (uid === undefined || uid === old?.process?.uid) return [];
  const { address, port } = original.dst;
  const family = familyOf(address);
  const iptables = isIpv6(address) ? "ip6tables" : "iptables";
  const table = [iptables, "-w", "-t", "raw", "-I"] as const;
  const sent = ["-p", protocol, "-d", address, "--dport", String(port)];
  const answers = ["-p", protocol, "-s", address, "--sport", String(port)];
  return [
    remedyIn(
      place,
      "Keep what the proxy sends, and the answers to it, out of conntrack. The proxy's user must " +
        `be its own: here uid ${uid}. ${endpointText(target)} then sees only what others send. ` +
        `The rules are in the nft table ${TABLE}, which can be deleted alone.`,
      nftTable(family, [
        {
          name: "raw_output",
          hook: "type filter hook output priority -300",
          rule: `meta skuid ${uid} ${family} daddr ${address} ${protocol} dport ${port} notrack`,
        },
        {
          name: "raw_prerouting",
          hook: "type filter hook prerouting priority -300",
          rule: `${family} saddr ${address} ${protocol} sport ${port} socket transparent 0 notrack`,
        },
      ]),
    ),
    remedyIn(
      place,
      "The same with iptables.",
      [...table, "OUTPUT", ...sent, "-m", "owner", "--uid-owner", String(uid), ...NOTRACK],
      [...table, "PREROUTING", ...answers, "-m", "socket", "--nowildcard", ...NOTRACK],
    ),
  ];
}

function confidence(event: StaleFlowObserved, local: boolean): Diagnosis["confidence"] {
  const basis = "the packet's conntrack entry was made for another socket and redirects it";
  if (!local) {
    return { level: "low", rests_on: `${basis}; the rules of today might send it there as well` };
  }
  return event.old_owner?.process === undefined
    ? { level: "medium", rests_on: `${basis}; whose socket that was is not known` }
    : { level: "high", rests_on: basis };
}
