/*
 * All source ports that NAT may use towards one destination are taken. NAT then goes on with a port
 * that is in use, and the packet is dropped as if it had lost a race, again and again. The rule that
 * tells the two apart is in nat_flows.ts.
 */
import type { Words } from "../util/shell.ts";
import type { Diagnosis, Observed, Remedy } from "./finding.ts";
import {
  CONNTRACK_SYSCTL,
  endpointText,
  IPTABLES_EXTENSIONS,
  NFT_8,
  plural,
  tupleText,
} from "./format.ts";
import { isDns } from "./nat_insert_race.ts";
import type { InsertFailedObserved } from "./observed.ts";
import { advice, remedyIn } from "./remedy.ts";
import { hasPorts, iptablesSourceNat, nftSourceNat, TABLE } from "./rules.ts";

const ALL_PORTS = "1024-65535";

export function describeExhausted(observed: Observed, event: InsertFailedObserved): Diagnosis {
  const { original, reply } = event;
  const { delayed_flows: delayed, delay_seconds_max: longest } = observed.consequence;
  const what = isDns(event) ? "DNS request" : `${event.protocol.toUpperCase()} packet`;
  const inferred = event.inferred?.includes("cause") === true;
  return {
    severity: "critical",
    summary:
      `NAT has no source port left on ${reply.dst.address} towards ${endpointText(original.dst)}: ` +
      `${plural(observed.count, what)} dropped, the last of ${tupleText(original)}` +
      `${delayed === undefined ? "" : `; ${plural(delayed, "flow")} got one up to ${longest} s late`}.`,
    explanation:
      "Each flow to one destination needs a source port of its own on the translated address. NAT " +
      "tries some ports, finds all of them taken and goes on with one in use; conntrack then drops " +
      "the packet. The same flow was refused more than once, or several in a row and none " +
      "succeeded, so this is no race that the next packet would win.",
    remedies: remedies(observed, event),
    references: [IPTABLES_EXTENSIONS, NFT_8, CONNTRACK_SYSCTL],
    confidence: {
      level: inferred ? "medium" : "high",
      rests_on: inferred
        ? "repeated refusals; that they are clashes is inferred"
        : "repeated refusals of the same flow, or of several flows without a success between them",
    },
  };
}

function remedies({ place }: Observed, event: InsertFailedObserved): Remedy[] {
  const { protocol, original, reply } = event;
  const rule = { protocol, ...original.dst, source: reply.dst.address, ports: ALL_PORTS };
  const more = "Give NAT more source addresses";
  return [
    remedyIn(
      place,
      "See how many flows hold a port towards it, and in which state.",
      listFlows(event),
    ),
    remedyIn(
      place,
      "Release ports sooner: keep connections open and reuse them, and shorten timeouts.",
      ...shorterTimeouts(protocol),
    ),
    ...(hasPorts(protocol)
      ? [
          remedyIn(
            place,
            `${more} or, where its rule names fewer ports than these, a wider range: in the nft ` +
              `table ${TABLE}, which can be deleted alone.`,
            nftSourceNat(rule),
          ),
          remedyIn(place, "The same with iptables.", iptablesSourceNat(rule)),
        ]
      : [advice(`${more}.`)]),
  ];
}

function listFlows({ protocol, original, zone }: InsertFailedObserved): Words {
  const { address, port } = original.dst;
  return [
    ...(["conntrack", "-L"] as const),
    ...(hasPorts(protocol) ? ["-p", protocol, "--dport", String(port)] : []),
    ...["-d", address],
    ...(zone === 0 ? [] : ["-w", String(zone)]),
  ];
}

function shorterTimeouts(protocol: string): Words[] {
  const names: Readonly<Record<string, readonly string[]>> = {
    tcp: ["tcp_timeout_time_wait=30"],
    udp: ["udp_timeout=10", "udp_timeout_stream=30"],
  };
  return (names[protocol] ?? []).map((setting) => [
    "sysctl",
    "-w",
    `net.netfilter.nf_conntrack_${setting}`,
  ]);
}
