/*
 * A process calls bind() to an address with port 0 before connect(), without
 * IP_BIND_ADDRESS_NO_PORT. The kernel must choose the port at once, not knowing the destination, so
 * the port is that socket's alone (inet_csk_get_port) and serves one connection, not one for each
 * destination. When the range is used up, bind() fails with EADDRINUSE and connect() is never
 * called: no event tells of that.
 *
 * Rule: a count of ports finds the range of TCP ports at least 90 % full, and at least half of the ports
 * in use belong to processes whose connects had the technique `bind_before_connect`. Ports in
 * TIME_WAIT have no owner: they count as far as such a process was seen to use as many within the
 * last minute. No finding without such a count: many such connects one after the other are no harm.
 */

import type { PortQuery, PortQueryResult } from "../ports/query.ts";
import { FairLruMap } from "../util/fair-lru.ts";
import { BindBeforeConnectTracker, type Binder } from "./bind-before-connect.ts";
import { type Detector, NOTHING, type Step, usedRatio } from "./detector.ts";
import type { Diagnosis, Observation, Observed } from "./finding.ts";
import { IP_7, netnsKey, ownerOf, processText } from "./format.ts";
import { FULL_RATIO, widenRange } from "./local_port_exhaustion.ts";
import { type ConnectObserved, isType, timeMs } from "./observed.ts";
import { principalOf } from "./principal.ts";
import { advice, remedyIn } from "./remedy.ts";

const MAX_NETNS = 64;

/** Of the ports in use: theirs together, and one's alone that makes it a party. */
const MAJORITY_RATIO = 0.5;
const PARTY_RATIO = 0.2;

export function createPortLockedByBind(): Detector {
  const places = new FairLruMap<string, BindBeforeConnectTracker>(MAX_NETNS);
  return { types: ["connect"], take, resolve, tick };

  function take(event: Parameters<Detector["take"]>[0]): Step {
    if (!isType(event, "connect") || event.protocol !== "tcp") return NOTHING;
    const key = netnsKey(event.netns);
    const known = places.get(key);
    if (event.technique !== "bind_before_connect") {
      return event.result === "EADDRNOTAVAIL" ? stepOf(known?.failed(timeMs(event))) : NOTHING;
    }
    if (event.local?.port === undefined || event.netns === undefined) return NOTHING;
    const place = known ?? new BindBeforeConnectTracker(key, event.netns);
    places.set(key, place, principalOf(event));
    return stepOf(place.note(event, event.local.port));
  }

  function resolve(query: PortQuery, found: PortQueryResult | undefined): Observation[] {
    const place = places.get(query.key);
    if (place === undefined || found === undefined) return [];
    place.usedRatio = usedRatio(found);
    if (usedRatio(found) < FULL_RATIO) return [];
    const shares = place.attribute(found);
    const locked = shares.reduce((sum, share) => sum + share.ports, 0);
    if (locked < MAJORITY_RATIO * found.use.in_use) return [];
    return shares
      .filter((share) => share.ports >= PARTY_RATIO * found.use.in_use)
      .map((share) => observation(query.key, share.binder, share.ports, found));
  }

  function tick(nowMs: number): PortQuery[] {
    return places.values().flatMap((place) => place.due(nowMs) ?? []);
  }
}

function stepOf(portQuery: PortQuery | undefined): Step {
  return portQuery === undefined ? NOTHING : { portQuery };
}

function observation(
  key: string,
  binder: Binder,
  locked: number,
  result: PortQueryResult,
): Observation {
  const { last } = binder;
  return {
    kind: "port_locked_by_bind",
    key: `${key} ${binder.identity}`,
    opens: true,
    count: 1,
    time: last.time,
    netns: last.netns,
    evidence: [...new Set([...binder.firstSeqs, last.seq])],
    parties: [
      { role: "binder", ...ownerOf(last), ports: locked },
      ...result.holders
        .filter(({ process }) => process !== undefined && !binder.pids.has(process.pid ?? 0))
        .slice(0, 3)
        .map(({ process, cgroup, ports }) => ({
          role: "holder",
          ...ownerOf({ ...(process && { process }), ...(cgroup && { cgroup }) }),
          ports,
        })),
    ],
    tuples: [{ protocol: "tcp", ...(last.local && { local: last.local }), peer: last.peer }],
    consequence: {},
    levels: {
      ports_locked: locked,
      ports_in_use: result.use.in_use,
      ports_in_range: result.range.available,
    },
    describe: (observed) => describe(observed, last, locked, result),
  };
}

function describe(
  { place }: Observed,
  last: ConnectObserved,
  locked: number,
  result: PortQueryResult,
): Diagnosis {
  const who = processText(last, "A process");
  const { low, high } = result.range;
  const bindAddress = last.local?.address ?? "its address";
  return {
    severity: "critical",
    summary:
      `${who} locks ${locked} local TCP ports by bind() before connect(); ${result.use.in_use} of the ` +
      `${result.range.available} ports ${low}-${high} are in use, and soon no other connection gets one.`,
    explanation:
      `It binds each socket to ${bindAddress} and port 0 before it connects. Without ` +
      "IP_BIND_ADDRESS_NO_PORT the kernel must pick the port then, for this socket alone, whatever " +
      "its destination: the range serves that many connections altogether, not that many for each " +
      "destination. bind() fails with EADDRINUSE when it is used up.",
    remedies: [
      advice(`Set IP_BIND_ADDRESS_NO_PORT before bind() in ${who}; in C, or in Python:`, [
        "setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));",
        "sock.setsockopt(socket.IPPROTO_IP, 24, 1)",
      ]),
      remedyIn(place, "Do not bind where the route chooses the same address anyway (src).", [
        ...(["ip", "route", "get"] as const),
        last.peer.address,
      ]),
      remedyIn(place, "See the ports it holds.", ["ss", "-tanp"]),
      ...widenRange(place, result.range),
    ],
    references: [IP_7],
    confidence: {
      level: "high",
      rests_on:
        `its connects were seen to bind first, and ${locked} of ${result.use.in_use} ports in use are ` +
        "its own by count",
    },
  };
}
