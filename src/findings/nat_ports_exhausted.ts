/*
 * All source ports that NAT may use towards one destination are taken. NAT then goes on with a port
 * that is in use, and the packet is dropped as if it had lost a race, again and again. The rule that
 * tells the two apart is in nat_flows.ts.
 */
import type { Diagnosis, Observed, Remedy } from "./finding.ts";
import { isDns } from "./nat_insert_race.ts";
import type { InsertFailedObserved } from "./observed.ts";
import {
  CONNTRACK_SYSCTL,
  endpointText,
  IPTABLES_EXTENSIONS,
  inNetns,
  isIpv6,
  NFT_8,
  plural,
  tupleText,
} from "./words.ts";

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

function remedies({ netns }: Observed, event: InsertFailedObserved): Remedy[] {
  const { protocol, original, reply } = event;
  const { address, port } = original.dst;
  const [iptables, family] = isIpv6(address) ? ["ip6tables", "ip6"] : ["iptables", "ip"];
  const source = reply.dst.address;
  const bracketed = isIpv6(source) ? `[${source}]` : source;
  return [
    {
      summary: "See how many flows hold a port towards it, and in which state.",
      commands: [
        inNetns(
          `conntrack -L -p ${protocol} -d ${address} --dport ${port}`,
          netns,
          event.process?.pid,
        ),
      ],
    },
    {
      summary: "Give NAT more source addresses (consecutive ones), or a wider range of ports.",
      commands: [
        `${iptables} -t nat -I POSTROUTING -p ${protocol} -d ${address} --dport ${port} ` +
          `-j SNAT --to-source ${source}-<last address>`,
        `${iptables} -t nat -I POSTROUTING -p ${protocol} -d ${address} --dport ${port} ` +
          `-j SNAT --to-source ${bracketed}:1024-65535`,
        `nft insert rule ${family} nat postrouting ${family} daddr ${address} ` +
          `${protocol} dport ${port} snat to ${bracketed}:1024-65535`,
      ],
    },
    {
      summary: "Release ports sooner: keep connections open and reuse them, and shorten timeouts.",
      commands: [
        protocol === "tcp"
          ? "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_time_wait=30"
          : "sysctl -w net.netfilter.nf_conntrack_udp_timeout=10",
      ],
    },
  ];
}
