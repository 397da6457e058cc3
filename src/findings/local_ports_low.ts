/*
 * Local ports towards one destination are getting scarce, before a call fails. A TCP connection to it
 * needs a port of ip_local_port_range that no other one to it has (__inet_hash_connect,
 * net/ipv4/inet_hashtables.c), that is not reserved, and not locked whatever the destination. A port in
 * TIME_WAIT does not count where a new connection may take it over (tcp_twsk_unique,
 * net/ipv4/tcp_ipv4.c, 6.12).
 *
 * Rule: a count of the ports finds
 *  - `warning`: half of the usable ones taken; or
 *  - `info`: a tenth taken, more in each of three intervals, and at the least of these rates none left
 *    within ten minutes (src/ports/trend.ts); or
 *  - `info`: 45 % of the range taken, after the kernel searched for 1 ms and more three times within
 *    10 s (port-search.ts).
 * No finding:
 *  - a range of fewer than 16 ports: a few connections are half of it.
 *  - a destination to which connections come from several local addresses: each has all of the range.
 *  - while local_port_exhaustion or port_locked_by_bind says it, or did a minute ago.
 */
import { mayTakeOverTimeWait } from "../kernel/tcp-settings.ts";
import type { PortQueryResult } from "../ports/query.ts";
import { most, partyText } from "./blame.ts";
import type { Diagnosis, Observed, Party, Remedy } from "./finding.ts";
import { endpointText, IP_7, IP_SYSCTL } from "./format.ts";
import type { Endpoint } from "./observed.ts";
import { programKey } from "./port-failure.ts";
import { programsOf, reuseTimeWait, shareText, widenRange } from "./port-text.ts";
import { advice, remedyIn } from "./remedy.ts";

export const HALF_RATIO = 0.5;
const GROWING_MIN_RATIO = 0.1;
/**
 * connect() tries the ports of one parity first: as long as fewer are taken, many of these are free, and
 * a search that took long was interrupted.
 */
const SEARCH_MIN_RATIO = 0.45;
const MIN_PORTS = 16;

/** Why the ports were counted. */
export interface Suspicion {
  /** At the present rate none is left then. */
  readonly exhaustedInS?: number | undefined;
  /** So many connects needed long for their port. */
  readonly slowSearches?: number;
}

/** Ports towards one destination, as they were counted. */
export interface LowPorts {
  readonly peer: Endpoint;
  readonly found: PortQueryResult;
  readonly suspicion: Suspicion;
  readonly usable: number;
  /** Of these, what a new connection cannot have. */
  readonly taken: number;
}

/** Undefined where the count says that there is nothing to warn of. */
export function lowPortsOf(
  peer: Endpoint,
  found: PortQueryResult,
  suspicion: Suspicion,
): LowPorts | undefined {
  const { range, taken: all, settings } = found;
  if (range === undefined || range.available < MIN_PORTS) return undefined;
  const usable = range.available - all.locked;
  const isFree = settings !== undefined && mayTakeOverTimeWait(settings, peer.address);
  const taken = all.total - all.locked - (isFree ? (all.states?.time_wait ?? 0) : 0);
  const ratio = usable > 0 ? taken / usable : 0;
  const { exhaustedInS, slowSearches } = suspicion;
  const isLow =
    ratio >= HALF_RATIO ||
    (exhaustedInS !== undefined && ratio >= GROWING_MIN_RATIO) ||
    (slowSearches !== undefined && all.total >= SEARCH_MIN_RATIO * range.available);
  return isLow ? { peer, found, suspicion, usable, taken } : undefined;
}

export function describeLow(observed: Observed, low: LowPorts): Diagnosis {
  const { peer, found, usable, taken } = low;
  const isHalf = taken >= HALF_RATIO * usable;
  return {
    severity: isHalf ? "warning" : "info",
    summary:
      `The local ports for TCP to ${endpointText(peer)} are running low: ` +
      `${shareText(taken, found.range)} are taken towards it${statesText(low)}` +
      `${openersText(found)}${lockedText(low)}${outlookText(low)}.`,
    explanation: explanation(low),
    remedies: remedies(observed, low),
    references: [IP_7, IP_SYSCTL],
    confidence: isHalf
      ? { level: "high", rests_on: "a count of the ports; no call has failed yet" }
      : { level: "low", rests_on: inferredFrom(low) },
  };
}

/** ` (118 established, 2 time_wait)`: of what a new connection cannot have. */
function statesText({ found, peer }: LowPorts): string {
  const { taken, settings } = found;
  const isFree = settings !== undefined && mayTakeOverTimeWait(settings, peer.address);
  const states = Object.entries(taken.states ?? {})
    .filter(([state]) => !(isFree && state === "time_wait"))
    .sort(([, one], [, other]) => other - one)
    .map(([state, count]) => `${count} ${state.toUpperCase().replace("_", "-")}`);
  return states.length === 0 ? "" : ` (${states.join(", ")})`;
}

/** Of the last count: a party of the finding may have had its ports before. */
function openersText(found: PortQueryResult): string {
  const first = most(openersOf(found), "holder");
  return first === undefined ? "" : `, ${first.ports} of them opened by ${partyText(first, "?")}`;
}

function lockedText({ found }: LowPorts): string {
  const { locked } = found.taken;
  return locked === 0 ? "" : `; ${locked} more are locked whatever the destination`;
}

function outlookText({ suspicion: { exhaustedInS, slowSearches } }: LowPorts): string {
  const rate =
    exhaustedInS === undefined
      ? ""
      : `; at the present rate none is left in ${Math.max(1, Math.round(exhaustedInS))} s`;
  const slow =
    slowSearches === undefined
      ? ""
      : `; the kernel searched for a free one for 1 ms and more, ${slowSearches} times within 10 s`;
  return rate + slow;
}

function inferredFrom({ suspicion: { exhaustedInS } }: LowPorts): string {
  return exhaustedInS === undefined
    ? "a count of the ports, and that the kernel searched long for a free one"
    : "counts of the ports one after the other, if it goes on as it did";
}

function explanation({ peer, found }: LowPorts): string {
  const { settings } = found;
  const isFree = settings !== undefined && mayTakeOverTimeWait(settings, peer.address);
  const timeWait = isFree
    ? "Ports in TIME_WAIT are not counted: a new connection may take them over after 1 s."
    : "A closed connection in TIME_WAIT keeps its port for 60 s.";
  return (
    "Each connection to one destination needs a local port of its own of ip_local_port_range. When " +
    `none is left, connect() fails with EADDRNOTAVAIL. ${timeWait}`
  );
}

/** The least invasive first. */
function remedies({ place }: Observed, { peer, found }: LowPorts): Remedy[] {
  return [
    remedyIn(place, "See who holds the ports.", ["ss", "-tanp", "dst", endpointText(peer)]),
    advice(
      "Keep connections open and reuse them (HTTP keep-alive, a pool with a limit), close those in " +
        "CLOSE-WAIT, or spread them over more destination or source addresses.",
    ),
    ...reuseTimeWait(place, found, peer),
    ...widenRange(place, found.range),
  ];
}

/** Those who opened ports towards the destination, without what they lock whatever the destination. */
export function openersOf({ holders, lockers }: PortQueryResult): Party[] {
  const keyOf = (party: Party) => `${party.role} ${programKey(party)}`;
  const locked = new Map(programsOf(lockers).map((party) => [keyOf(party), party.ports ?? 0]));
  return programsOf(holders)
    .map((party) => ({ ...party, ports: (party.ports ?? 0) - (locked.get(keyOf(party)) ?? 0) }))
    .filter(({ ports }) => ports > 0)
    .sort((one, other) => other.ports - one.ports);
}
