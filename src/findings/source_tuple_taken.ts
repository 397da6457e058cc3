/*
 * A program connects from a port of its own choice, and that 4-tuple is taken: by a connection of
 * another process, or by one in TIME_WAIT that cannot be taken over, since without TCP timestamps
 * nothing tells its segments from those of a new connection (tcp_twsk_unique, net/ipv4/tcp_ipv4.c).
 *
 * Rule: a TCP connect() with the technique `bound_port` or `reuseaddr` failed with EADDRNOTAVAIL,
 * which then says nothing else (__inet_check_established, net/ipv4/inet_hashtables.c). Over IPv6 only
 * if a socket with that tuple is found, for a machine without an address fails alike.
 */
import type { PortQueryResult } from "../ports/query.ts";
import { blamedText, most, partyText } from "./blame.ts";
import type { Diagnosis, Observed, Remedy } from "./finding.ts";
import { endpointText, IP_SYSCTL, plural } from "./format.ts";
import type { ConnectObserved } from "./observed.ts";
import { advice, remedyIn } from "./remedy.ts";

/** Whether that is certain without a look at the sockets. */
export function isTaken({ family }: ConnectObserved, found: PortQueryResult | undefined): boolean {
  return family === "ipv4" || socketsOf(found).length > 0;
}

export function describeTakenTuple(
  observed: Observed,
  { local, peer }: ConnectObserved,
  found: PortQueryResult | undefined,
): Diagnosis {
  const { parties, consequence, place } = observed;
  const port = local?.port ?? 0;
  const waits = isWaiting(found);
  const holder = partyText(most(parties, "holder"), "a process that is not known");
  const why = waits
    ? `a connection of ${holder} with these two ends is in TIME_WAIT`
    : `a connection of ${holder} has these two ends`;
  return {
    severity: "warning",
    summary:
      `${blamedText(parties, "failed", "A process")} could not connect from its own port ${port} to ` +
      `${endpointText(peer)}: connect() failed ${plural(consequence.failed_connects ?? 0, "time")} ` +
      `with EADDRNOTAVAIL, because ${why}.`,
    explanation:
      "A TCP connection is known by its two addresses and ports alone, so that there can be one with " +
      "the same four only. Who chooses the local port for itself gets no other one when it is taken" +
      (waits
        ? "; a closed connection is in TIME_WAIT for 60 s, on the side that closed first."
        : "."),
    remedies: [
      remedyIn(place, "See the connection that has these ends.", [
        "ss",
        "-tanp",
        `sport = :${port} and dst ${endpointText(peer)}`,
      ]),
      advice("Leave the local port to the kernel: do not bind() before connect(), or to port 0."),
      ...withTimestamps(observed, found, waits),
    ],
    references: [IP_SYSCTL],
    confidence: {
      level: found === undefined ? "medium" : "high",
      rests_on:
        "connect() from a port of its own returned EADDRNOTAVAIL" +
        (found === undefined ? "; the sockets were not looked at" : ""),
    },
  };
}

function socketsOf(found: PortQueryResult | undefined): PortQueryResult["sockets"] {
  return (found?.sockets ?? []).filter(({ peer }) => peer !== undefined);
}

function isWaiting(found: PortQueryResult | undefined): boolean {
  const sockets = socketsOf(found);
  return sockets.length > 0 && sockets.every(({ state }) => state === "time_wait");
}

function withTimestamps(
  { place }: Observed,
  found: PortQueryResult | undefined,
  waits: boolean,
): Remedy[] {
  if (!waits || found?.settings?.timestamps !== 0) return [];
  return [
    remedyIn(
      place,
      "Use TCP timestamps, on both ends: a connection from then on gives way, in TIME_WAIT, to a new " +
        "one with the same ends.",
      ["sysctl", "-w", "net.ipv4.tcp_timestamps=1"],
    ),
  ];
}
