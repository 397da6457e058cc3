import { mayTakeOverTimeWait } from "../kernel/tcp-settings.ts";
import type { PortHolder } from "../ports/ports.schema.ts";
import type { PortQueryResult } from "../ports/query.ts";
import { partyText } from "./blame.ts";
import type { Consequence, Party, Remedy } from "./finding.ts";
import { plural } from "./format.ts";
import type { Endpoint, Owner } from "./observed.ts";
import type { NetnsPlace } from "./place.ts";
import { programKey } from "./port-failure.ts";
import { advice, remedyIn } from "./remedy.ts";

/** Those with most ports, as parties. */
const MAX_HOLDERS = 5;

const WIDEST = { low: 1024, high: 65_535 };
const HALF_RATIO = 0.5;

/** `connect() failed 7 times with EADDRNOTAVAIL, bind() failed once with EADDRINUSE` */
export function callsText(protocol: "tcp" | "udp", consequence: Consequence): string {
  const {
    failed_connects: connects = 0,
    failed_binds: binds = 0,
    failed_sends: sends = 0,
  } = consequence;
  const connectError = protocol === "udp" ? "EAGAIN" : "EADDRNOTAVAIL";
  return [
    [connects, "connect()", connectError] as const,
    [binds, "bind()", "EADDRINUSE"] as const,
    [sends, "sendto()", "EAGAIN"] as const,
  ]
    .filter(([count]) => count > 0)
    .map(([count, call, error]) => `${call} failed ${plural(count, "time")} with ${error}`)
    .join(", ");
}

/** `100 of the 100 ports 20000-20099` */
export function shareText(count: number, range: PortQueryResult["range"]): string {
  if (range === undefined) return plural(count, "port");
  const { low, high, available } = range;
  return `${count} of the ${available} ports ${low}-${high}`;
}

/** `, 100 of them opened by fpm-worker (100 processes)`; nothing where nobody is known. */
export function holderText(holders: readonly PortHolder[]): string {
  const [most] = programsOf(holders);
  if (most === undefined) return "";
  const { ports = 0 } = most;
  if (most.process !== undefined) return `, ${ports} of them opened by ${partyText(most, "?")}`;
  const nobody = most.role === "time_wait" ? "connections in TIME_WAIT" : "sockets of nobody known";
  return `, ${ports} of them by ${nobody}`;
}

/** Whether most of what is told of `holders` is closed by now. */
export function areClosed(holders: readonly PortHolder[]): boolean {
  const sum = (some: readonly PortHolder[]) => some.reduce((all, { ports }) => all + ports, 0);
  const closed = sum(holders.filter(({ without }) => without === "closed"));
  return closed > HALF_RATIO * sum(holders);
}

/** One party for each program, whatever the state of its ports, and one for each kind of nobody. */
export function programsOf(holders: readonly PortHolder[], role = "holder"): Party[] {
  const programs = new Map<string, Party>();
  for (const { process, processes, cgroup, without, ports } of holders) {
    const who: Owner = { ...(process && { process }), ...(cgroup && { cgroup }) } as Owner;
    const key = process === undefined ? (without ?? "") : programKey(who);
    const known = programs.get(key);
    const many = Math.max(processes ?? 1, known?.processes ?? 1);
    programs.set(key, {
      role: process === undefined ? (without ?? role) : role,
      ...who,
      ...(many > 1 && { processes: many }),
      ports: (known?.ports ?? 0) + ports,
    });
  }
  return [...programs.values()].sort((one, other) => (other.ports ?? 0) - (one.ports ?? 0));
}

export function mostOf(parties: readonly Party[]): readonly Party[] {
  return parties.slice(0, MAX_HOLDERS);
}

/** Nothing, where the range is as wide already. */
export function widenRange(place: NetnsPlace, range: PortQueryResult["range"]): Remedy[] {
  if (range !== undefined && range.low <= WIDEST.low && range.high >= WIDEST.high) return [];
  return [
    remedyIn(
      place,
      "Widen the range of local ports; first put the ports that services listen on into " +
        "net.ipv4.ip_local_reserved_ports.",
      ["sysctl", "-w", `net.ipv4.ip_local_port_range=${WIDEST.low} ${WIDEST.high}`],
    ),
  ];
}

/** Nothing, where it would do nothing: as the namespace's settings are, and what holds the ports. */
export function reuseTimeWait(
  place: NetnsPlace,
  found: PortQueryResult | undefined,
  peer: Endpoint | undefined,
): Remedy[] {
  const { settings, taken } = found ?? {};
  if (taken !== undefined && taken.waiting < HALF_RATIO * taken.total) return [];
  if (settings?.timestamps === 0) {
    return [
      advice(
        "Ports in TIME_WAIT cannot be taken over here, since net.ipv4.tcp_timestamps is 0: with " +
          "timestamps net.ipv4.tcp_tw_reuse=1 would let new connections do so after 1 s.",
      ),
    ];
  }
  if (settings !== undefined && mayTakeOverTimeWait(settings, peer?.address ?? "")) return [];
  return [
    remedyIn(
      place,
      "If most are in TIME_WAIT: let new connections take those ports over after 1 s.",
      ["sysctl", "-w", "net.ipv4.tcp_tw_reuse=1"],
    ),
  ];
}

/** A longer list is nothing to be typed. */
const MAX_RESERVED_CHARS = 2000;
const RESERVED = "net.ipv4.ip_local_reserved_ports";

/** The list is written as a whole, so that it must have what is there already. */
export function reservePorts(
  place: NetnsPlace,
  summary: string,
  ports: readonly number[],
  range: PortQueryResult["range"],
): Remedy {
  const list = [...ports].sort((one, other) => one - other).join(",");
  const reserved = range?.reserved ?? "";
  if (range === undefined || reserved.length > MAX_RESERVED_CHARS) {
    return advice(`${summary} Add ${list} to the list of ${RESERVED}, and keep what is in it.`);
  }
  const joined = reserved === "" ? list : `${reserved},${list}`;
  return remedyIn(place, summary, ["sysctl", "-w", `${RESERVED}=${joined}`]);
}
