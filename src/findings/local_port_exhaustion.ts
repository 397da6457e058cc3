/*
 * A call finds no local port: every port of the range is in use towards that destination (TCP:
 * EADDRNOTAVAIL, __inet_hash_connect), or by any socket (UDP: EAGAIN, inet_autobind; bind() to port 0:
 * EADDRINUSE). The range is ip_local_port_range, or a socket's own within it (IP_LOCAL_PORT_RANGE).
 *
 * Rule: such a result where the kernel was to choose the port (port-failure.ts), unless half of the
 * ports were locked by bind(), which is port_locked_by_bind.
 * No finding:
 *  - a fixed port (`bound_port`, `reuseaddr`): EADDRNOTAVAIL is then one taken 4-tuple.
 *  - TCP over IPv6, unless a count of ports finds the range nearly full: EADDRNOTAVAIL is also what a
 *    machine without an IPv6 source address gets.
 */

import type { PortQueryResult } from "../ports/query.ts";
import { blamedText } from "./blame.ts";
import type { Diagnosis, Observed, Remedy } from "./finding.ts";
import { endpointText, IP_7, IP_SYSCTL } from "./format.ts";
import type { PortFailure } from "./port-failure.ts";
import {
  areClosed,
  callsText,
  holderText,
  reuseTimeWait,
  shareText,
  widenRange,
} from "./port-text.ts";
import { advice, remedyIn } from "./remedy.ts";

/** A range is full when a few ports, reserved ones perhaps, are left. */
export const FULL_RATIO = 0.9;
const HALF_RATIO = 0.5;

/** The last failure, and what the ports were when they were counted; undefined: they were not. */
export function describeExhaustion(
  observed: Observed,
  failure: PortFailure,
  found: PortQueryResult | undefined,
): Diagnosis {
  const { protocol, peer } = failure;
  const where = peer === undefined ? "" : ` to ${endpointText(peer)}`;
  return {
    severity: "critical",
    summary:
      `${blamedText(observed.parties, "failed", "A process")} found no free local port for ` +
      `${protocol.toUpperCase()}${where}: ${callsText(protocol, observed.consequence)}` +
      `${takenText(failure, found)}.`,
    explanation: explanation(failure, found),
    remedies: remedies(observed, failure, found),
    references: [IP_7, IP_SYSCTL],
    confidence: confidence(failure, found),
  };
}

function takenText({ peer, range }: PortFailure, found: PortQueryResult | undefined): string {
  if (found === undefined) return "";
  const { taken, holders } = found;
  const whose = range === undefined ? "" : " of the socket's own range";
  const scope = peer === undefined || taken.towards < taken.total ? "" : " towards it";
  const waiting = taken.waiting === 0 ? "" : `, ${taken.waiting} in TIME_WAIT`;
  const closed = areClosed(holders) ? ", and closed since" : "";
  return (
    `; ${shareText(taken.total, found.range)}${whose} were taken${scope}${waiting}` +
    `${holderText(holders)}${closed}`
  );
}

function explanation(failure: PortFailure, found: PortQueryResult | undefined): string {
  const { protocol, peer, range } = failure;
  const ports =
    range === undefined
      ? "ip_local_port_range"
      : `the range that the socket was given by IP_LOCAL_PORT_RANGE, ${range.low}-${range.high}`;
  if (protocol === "udp") {
    return (
      `A UDP socket without a port gets one of ${ports} for itself alone, wherever it sends. All ` +
      "of them were taken."
    );
  }
  if (peer === undefined) {
    return (
      `bind() to port 0 and listen() without bind() get a port of ${ports} that no other socket ` +
      "uses at all, wherever that leads. There was none."
    );
  }
  const { towards = 0, locked = 0 } = found?.taken ?? {};
  const others = locked === 0 ? "" : ` ${locked} were locked whatever the destination.`;
  const counted =
    found === undefined ? "" : ` ${towards} were in use towards ${endpointText(peer)}.${others}`;
  return (
    `Each connection to one destination needs a local port of its own of ${ports}: also a closed ` +
    `one in TIME_WAIT keeps its port, for 60 s.${counted}`
  );
}

function remedies(
  { place }: Observed,
  { protocol, peer, range }: PortFailure,
  found: PortQueryResult | undefined,
): Remedy[] {
  const see = "See who holds the ports.";
  const widen = range === undefined ? widenRange(place, found?.range) : [widenOwn(range)];
  if (protocol === "udp") {
    return [
      remedyIn(place, see, ["ss", "-uanp"]),
      advice("Reuse sockets, and close those that are not needed."),
      ...widen,
    ];
  }
  const towards = peer === undefined ? [] : ["dst", endpointText(peer)];
  return [
    remedyIn(place, see, ["ss", "-tanp", ...towards]),
    advice(
      "Keep connections open and reuse them (HTTP keep-alive, a pool), or spread them over more " +
        "destination or source addresses.",
    ),
    ...(peer === undefined ? [] : reuseTimeWait(place, found, peer)),
    ...widen,
  ];
}

/** A sysctl does nothing for it. */
function widenOwn({ low, high }: NonNullable<PortFailure["range"]>): Remedy {
  return advice(
    `Give the program more than the ports ${low}-${high}, or no range of its own: its sockets set ` +
      "IP_LOCAL_PORT_RANGE, for which a wider net.ipv4.ip_local_port_range does nothing.",
  );
}

function confidence(
  { event, isProof }: PortFailure,
  found: PortQueryResult | undefined,
): Diagnosis["confidence"] {
  const basis = `the call returned ${event.result} where the kernel was to choose the port`;
  const ratio = found === undefined ? 0 : takenRatio(found);
  if (found !== undefined && ratio >= FULL_RATIO) {
    return { level: "high", rests_on: `${basis}, and the ports were found taken` };
  }
  if (event.inferred?.includes("result") === true) {
    return { level: "low", rests_on: `${basis}; the result is inferred` };
  }
  if (found === undefined) {
    return { level: "medium", rests_on: `${basis}; the ports in use were not counted` };
  }
  const percent = Math.round(100 * ratio);
  return {
    level: isProof || ratio >= HALF_RATIO ? "medium" : "low",
    rests_on: `${basis}; of ${percent} % of the ports it is known who had them`,
  };
}

/** Part of the ports that cannot be had, from 0 to 1; of a namespace that is gone, all. */
export function takenRatio({ range, taken }: PortQueryResult): number {
  if (range === undefined || range.available === 0) return 1;
  return taken.total / range.available;
}
