/*
 * A service cannot bind its port, because the kernel has given that port to somebody else: as the
 * local port of an outgoing connection, or to a socket that asked for any. It happens where
 * ip_local_port_range has the service's port.
 *
 * Rule: bind() or listen() failed with EADDRINUSE for a port that was asked for, and of the sockets
 * that have it, looked at then, none listens and none asked for this port itself. No finding: another
 * service on the port, which its own program chose (the event has its `holder`); a port that nobody
 * has any more.
 */
import type { PortQueryResult } from "../ports/query.ts";
import { blamedText, most, partyText } from "./blame.ts";
import type { Diagnosis, Observed, Remedy } from "./finding.ts";
import { endpointText, IP_SYSCTL, plural } from "./format.ts";
import type { PortBindObserved } from "./observed.ts";
import { reservePorts } from "./port-text.ts";
import { advice, remedyIn } from "./remedy.ts";

/** Whether whoever has the port got it by chance. */
export function isHeldByChance({ sockets }: PortQueryResult): boolean {
  return sockets.length > 0 && sockets.every(({ isByChance }) => isByChance);
}

export function describeHeldPort(
  observed: Observed,
  { protocol, local, result, technique }: PortBindObserved,
  found: PortQueryResult,
): Diagnosis {
  const { parties, consequence, place } = observed;
  const port = local?.port ?? 0;
  const name = `${protocol.toUpperCase()} port ${port}`;
  const call = technique === "listen" ? "listen()" : "bind()";
  const [socket] = found.sockets;
  const holder = partyText(most(parties, "holder"), "a process that is not known");
  const what =
    socket?.peer === undefined
      ? `a socket of ${holder}, which asked for any port, has it`
      : `an outgoing connection of ${holder} to ${endpointText(socket.peer)} has it`;
  const waiting = isWaiting(found) ? ", and is in TIME_WAIT" : "";
  return {
    severity: "critical",
    summary:
      `${blamedText(parties, "failed", "A process")} cannot use ${name}: ${call} failed ` +
      `${plural(consequence.failed_binds ?? 0, "time")} with ${result}, because ${what}${waiting}.`,
    explanation:
      `The port is one of ip_local_port_range${rangeText(found)}, from which the kernel gives a port ` +
      "to outgoing connections and to sockets that ask for any. It does not know that a service wants " +
      `it, unless the port is in ip_local_reserved_ports: then only who asks for ${port} gets it.`,
    remedies: [
      remedyIn(place, "See who has the port.", [
        "ss",
        protocol === "udp" ? "-uanp" : "-tanp",
        `sport = :${port}`,
      ]),
      reservePorts(
        place,
        `Reserve the port, so that the kernel gives it to nobody else again. Whoever has it keeps it ` +
          "until that socket is closed.",
        [port],
        found.range,
      ),
      ...freePort(observed, port, protocol, isWaiting(found)),
    ],
    references: [IP_SYSCTL],
    confidence: {
      level: "high",
      rests_on: "the sockets on this port, listed right after the call, and how they came by it",
    },
  };
}

function isWaiting({ sockets }: PortQueryResult): boolean {
  return sockets.every(({ state }) => state === "time_wait");
}

function rangeText({ range }: PortQueryResult): string {
  return range === undefined ? "" : `, ${range.low}-${range.high}`;
}

function freePort({ place }: Observed, port: number, protocol: string, waits: boolean): Remedy[] {
  if (waits) {
    return [
      advice(
        "Set SO_REUSEADDR before bind(), as services do: a connection in TIME_WAIT is then in " +
          "nobody's way. Or wait for the 60 s that it lasts.",
      ),
    ];
  }
  return [
    remedyIn(
      place,
      "End the socket that has it, if its program opens another one: it gets an error (ECONNABORTED).",
      ["ss", "-K", protocol === "udp" ? "-u" : "-t", `sport = :${port}`],
    ),
  ];
}
