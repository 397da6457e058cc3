/*
 * A process calls bind() to an address with port 0 before connect(), without
 * IP_BIND_ADDRESS_NO_PORT. The kernel must choose the port at once, not knowing the destination, so
 * the port is that socket's alone (inet_csk_get_port) and serves one connection, not one for each
 * destination. When the range is used up, bind() fails with EADDRINUSE, and so do others' connect()
 * calls, wherever they lead, with EADDRNOTAVAIL.
 *
 * Rule: a count of ports finds at least half of the range of TCP ports locked by bind(), after a call
 * failed for want of a port; or the range at least 90 % full and half of that locked, while sockets
 * bind before they connect. Whose a port in TIME_WAIT was, the ledger tells. No finding without such
 * a count: many such connects one after the other are no harm.
 */

import type { PortQueryResult } from "../ports/query.ts";
import { blamedText, most, partyText } from "./blame.ts";
import type { Diagnosis, Observed, Party } from "./finding.ts";
import { IP_7 } from "./format.ts";
import { takenRatio } from "./local_port_exhaustion.ts";
import type { ConnectObserved } from "./observed.ts";
import { callsText, mostOf, programsOf, shareText, widenRange } from "./port-text.ts";
import { advice, remedyIn } from "./remedy.ts";

const HALF_RATIO = 0.5;
/** Of the ports that are locked: who has fewer is no party. */
const PARTY_RATIO = 0.1;

/** Whether the ports were locked, most of them; `available` of a namespace that is gone is unknown. */
export function areLocked(found: PortQueryResult): boolean {
  const { taken, range } = found;
  return taken.locked >= HALF_RATIO * (range?.available ?? taken.total) && taken.locked > 0;
}

export function isFullAndLocked(found: PortQueryResult, fullRatio: number): boolean {
  return takenRatio(found) >= fullRatio && found.taken.locked >= HALF_RATIO * found.taken.total;
}

/** Those that locked ports. */
export function lockersOf({ lockers, taken }: PortQueryResult): readonly Party[] {
  return mostOf(
    programsOf(lockers, "binder").filter(({ ports = 0 }) => ports >= PARTY_RATIO * taken.locked),
  );
}

export function lockedLevels({ taken, range }: PortQueryResult) {
  return {
    ports_locked: taken.locked,
    ports_in_use: taken.total,
    ...(range !== undefined && { ports_in_range: range.available }),
  };
}

/** `example`: a connection of one that binds first, if such was seen. */
export function describeLocked(
  observed: Observed,
  found: PortQueryResult,
  example: ConnectObserved | undefined,
): Diagnosis {
  const { place, parties, consequence } = observed;
  const { taken, range } = found;
  const who = partyText(most(parties, "binder"), "A process");
  const calls = callsText("tcp", consequence);
  const failed = calls === "" ? "soon no other connection gets one" : calls;
  const victims = calls === "" ? "" : ` of ${blamedText(parties, "failed", "a process")}`;
  return {
    severity: "critical",
    summary:
      `${who} locks ${taken.locked} local TCP ports by bind() before connect(): ` +
      `${shareText(taken.total, range)} are taken, and ${failed}${victims}.`,
    explanation:
      "It binds each socket to an address and port 0 before it connects. Without " +
      "IP_BIND_ADDRESS_NO_PORT the kernel must pick the port then, for this socket alone, whatever " +
      "its destination: the range serves that many connections altogether, not that many for each " +
      "destination. When it is used up, bind() fails with EADDRINUSE, and connect() of others " +
      "with EADDRNOTAVAIL, wherever it leads.",
    remedies: [
      advice(`Set IP_BIND_ADDRESS_NO_PORT before bind() in ${who}; in C, or in Python:`, [
        "setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));",
        "sock.setsockopt(socket.IPPROTO_IP, 24, 1)",
      ]),
      ...(example === undefined
        ? []
        : [
            remedyIn(place, "Do not bind where the route chooses the same address anyway (src).", [
              ...(["ip", "route", "get"] as const),
              example.peer.address,
            ]),
          ]),
      remedyIn(place, "See the ports it holds.", ["ss", "-tanp"]),
      ...widenRange(place, range),
    ],
    references: [IP_7],
    confidence: {
      level: "high",
      rests_on: `${taken.locked} of the ${taken.total} ports that are taken were bound without a peer, by count`,
    },
  };
}
