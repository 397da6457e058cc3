/*
 * Two new flows were given one translated tuple at the same moment. Both were free when NAT looked,
 * the second to be confirmed is dropped (__nf_conntrack_confirm). With source NAT that is two
 * clients behind one address; with destination NAT, two packets sent at once on one socket, such as
 * the A and AAAA queries of one name lookup. The rule is in nat_flows.ts.
 */
import { blamedText, most } from "./blame.ts";
import type { Diagnosis, Observed, Remedy } from "./finding.ts";
import { endpointText, IPTABLES_EXTENSIONS, NFT_8, plural, tupleText } from "./format.ts";
import { isSameFlow, translatesSource } from "./nat_flows.ts";
import type { InsertFailedObserved } from "./observed.ts";
import { advice, remedyIn } from "./remedy.ts";
import { iptablesSourceNat, nftSourceNat, TABLE } from "./rules.ts";

const DNS_PORT = 53;

/** In /etc/resolv.conf; the resolver's own default. */
const DNS_RETRY_SECONDS = 5;

export function describeRace(observed: Observed, event: InsertFailedObserved): Diagnosis {
  return {
    severity: "warning",
    summary: summary(observed, event),
    explanation: explanation(event),
    remedies:
      isSameFlow(event) || !translatesSource(event)
        ? oneSocket(event)
        : twoClients(observed, event),
    references: references(event),
    confidence: confidence(event),
  };
}

export function isDns({ protocol, original }: InsertFailedObserved): boolean {
  return protocol === "udp" && original.dst.port === DNS_PORT;
}

function summary({ count, consequence, parties }: Observed, event: InsertFailedObserved): string {
  const what = isDns(event) ? "DNS request" : `${event.protocol.toUpperCase()} packet`;
  const { address = event.original.src.address } = most(parties, "refused")?.local ?? {};
  const who = blamedText(parties, "refused", address);
  const translated = translatesSource(event)
    ? `another flow got the NAT source ${endpointText(event.reply.dst)} at the same moment`
    : `NAT to ${endpointText(event.reply.src)} was set up twice at the same moment`;
  return (
    `${plural(count, what)} of ${who} to ${endpointText(event.original.dst)} ` +
    `${count === 1 ? "was" : "were"} dropped because ${translated}${delay(consequence)}.`
  );
}

function delay({ delayed_flows, delay_seconds_max }: Observed["consequence"]): string {
  if (delayed_flows === undefined) return "";
  return `; ${plural(delayed_flows, "flow")} came through late, by up to ${delay_seconds_max} s`;
}

function explanation(event: InsertFailedObserved): string {
  const wait = isDns(event)
    ? `a resolver waits ${DNS_RETRY_SECONDS} s before it asks again`
    : event.protocol === "tcp"
      ? "TCP sends its SYN again after 1 s"
      : "nobody sends a lost datagram again but the application";
  return (
    "NAT chooses a tuple that is free when it looks, and the entry is put into the table only when " +
    "the packet leaves. Two packets that did this at once chose the same; the second was dropped " +
    `(${tupleText(event.original)}). A UDP sender on this machine itself sees EPERM, all others ` +
    `see nothing: ${wait}.`
  );
}

function twoClients({ place }: Observed, event: InsertFailedObserved): Remedy[] {
  const { protocol, original, reply } = event;
  const rule = { protocol, ...original.dst, source: reply.dst.address, random: true } as const;
  return [
    remedyIn(
      place,
      "Choose source ports at random: two flows then hardly ever get the same one. Put " +
        "fully-random (iptables: --random-fully) on the masquerade or snat rule that is there, or " +
        `have one for this destination before it, in the nft table ${TABLE}, which can be ` +
        "deleted alone.",
      nftSourceNat(rule),
    ),
    remedyIn(place, "The same with iptables, where that made the rule.", iptablesSourceNat(rule)),
    ...(isDns(event) ? [dnsCache()] : []),
  ];
}

function oneSocket(event: InsertFailedObserved): Remedy[] {
  if (!isDns(event)) {
    return [
      advice(
        "Wait for the first answer before a second datagram is sent on a new socket, or send " +
          "them from two sockets.",
      ),
    ];
  }
  return [
    advice(
      "In the sender's /etc/resolv.conf, a container's own perhaps: have the resolver send its A " +
        "and AAAA requests from two sockets (glibc), or by TCP.",
      ["options single-request-reopen", "options use-vc"],
    ),
    dnsCache(),
  ];
}

function dnsCache(): Remedy {
  return advice(
    "Answer DNS without NAT: a cache on each node (Kubernetes: NodeLocal DNSCache, whose traffic " +
      "is exempt from conntrack).",
  );
}

function references(event: InsertFailedObserved): Diagnosis["references"] {
  const dns = {
    title: "resolv.conf(5): timeout, single-request-reopen, use-vc",
    url: "https://man7.org/linux/man-pages/man5/resolv.conf.5.html",
  };
  return [IPTABLES_EXTENSIONS, NFT_8, ...(isDns(event) ? [dns] : [])];
}

function confidence(event: InsertFailedObserved): Diagnosis["confidence"] {
  if (event.inferred?.includes("cause") === true) {
    return {
      level: "medium",
      rests_on: "a new, source-translated flow dropped by conntrack; the clash itself is inferred",
    };
  }
  return event.winner === undefined
    ? { level: "medium", rests_on: "conntrack refused a clashing entry; the other flow is unknown" }
    : { level: "high", rests_on: "conntrack refused a clashing entry, and both flows are known" };
}
