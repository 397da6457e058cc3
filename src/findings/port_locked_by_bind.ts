/*
 * A process calls bind() to an address with port 0 before connect(), without
 * IP_BIND_ADDRESS_NO_PORT. The kernel must choose the port at once, not knowing the destination, so
 * the port is that socket's alone (inet_csk_get_port) and serves one connection, not one for each
 * destination. When the range is used up, bind() fails with EADDRINUSE and connect() is never
 * called: no event tells of that.
 *
 * Rule: a census finds the range of TCP ports at least 90 % full, and at least half of the ports
 * in use belong to processes whose connects had the technique `bind_before_connect`. Ports in
 * TIME_WAIT have no owner: they count as far as such a process was seen to use as many within the
 * last minute. No finding without a census: many such connects one after the other are no harm.
 */
import { LruMap } from "../enrich/lru.ts";
import { type Binder, BindersOfNetns } from "./binders.ts";
import {
  type CensusAnswer,
  type CensusQuestion,
  type Detector,
  fill,
  NOTHING,
  type Step,
} from "./detector.ts";
import type { Diagnosis, Observation, Observed } from "./finding.ts";
import { FULL } from "./local_port_exhaustion.ts";
import { type ConnectObserved, isType, timeMs } from "./observed.ts";
import { IP_7, inNetns, netnsKey, ownerOf, pidOf, processText } from "./words.ts";

const MAX_NETNS = 64;

/** Of the ports in use: theirs together, and one's alone that makes it a party. */
const MOST = 0.5;
const MUCH = 0.2;

export function createPortLockedByBind(): Detector {
  const places = new LruMap<string, BindersOfNetns>(MAX_NETNS);
  return { types: ["connect"], take, answer, tick };

  function take(event: Parameters<Detector["take"]>[0]): Step {
    if (!isType(event, "connect") || event.protocol !== "tcp") return NOTHING;
    const key = netnsKey(event.netns);
    const known = places.get(key);
    if (event.technique !== "bind_before_connect") {
      return event.result === "EADDRNOTAVAIL" ? asked(known?.failed(timeMs(event))) : NOTHING;
    }
    if (event.local?.port === undefined || event.netns === undefined) return NOTHING;
    const place = known ?? new BindersOfNetns(key, event.netns);
    places.set(key, place);
    return asked(place.note(event, event.local.port));
  }

  function answer(question: CensusQuestion, found: CensusAnswer | undefined): Observation[] {
    const place = places.get(question.key);
    if (place === undefined || found === undefined) return [];
    place.fill = fill(found);
    if (fill(found) < FULL) return [];
    const shares = place.shares(found);
    const locked = shares.reduce((sum, share) => sum + share.ports, 0);
    if (locked < MOST * found.inUse) return [];
    return shares
      .filter((share) => share.ports >= MUCH * found.inUse)
      .map((share) => observation(question.key, share.binder, share.ports, found));
  }

  function tick(nowMs: number): CensusQuestion[] {
    return places.values().flatMap((place) => place.due(nowMs) ?? []);
  }
}

function asked(question: CensusQuestion | undefined): Step {
  return question === undefined ? NOTHING : { question };
}

function observation(
  key: string,
  binder: Binder,
  locked: number,
  answer: CensusAnswer,
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
      ...answer.holders
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
      ports_in_use: answer.inUse,
      ports_in_range: answer.range.available,
    },
    describe: (observed) => describe(observed, last, locked, answer),
  };
}

function describe(
  observed: Observed,
  last: ConnectObserved,
  locked: number,
  answer: CensusAnswer,
): Diagnosis {
  const who = processText(last, "A process");
  const { low, high } = answer.range;
  const run = (command: string) => inNetns(command, observed.netns, pidOf(observed.parties));
  const bindAddress = last.local?.address ?? "its address";
  return {
    severity: "critical",
    summary:
      `${who} locks ${locked} local TCP ports by bind() before connect(); ${answer.inUse} of the ` +
      `${answer.range.available} ports ${low}-${high} are in use, and soon no other connection gets one.`,
    explanation:
      `It binds each socket to ${bindAddress} and port 0 before it connects. Without ` +
      "IP_BIND_ADDRESS_NO_PORT the kernel must pick the port then, for this socket alone, whatever " +
      "its destination: the range serves that many connections altogether, not that many for each " +
      "destination. bind() fails with EADDRINUSE when it is used up.",
    remedies: [
      {
        summary: `Set IP_BIND_ADDRESS_NO_PORT (24) before bind() in ${who}.`,
        commands: [
          "setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));",
          "sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # Python",
        ],
      },
      {
        summary: "Do not bind where the route chooses the same address anyway.",
        commands: [`ip route get ${last.peer.address}`],
      },
      {
        summary: "See the ports it holds; until it is mended, widen the range.",
        commands: [run("ss -tanp"), run('sysctl -w net.ipv4.ip_local_port_range="1024 65535"')],
      },
    ],
    references: [IP_7],
    confidence: {
      level: "high",
      rests_on:
        `its connects were seen to bind first, and ${locked} of ${answer.inUse} ports in use are ` +
        "its own by count",
    },
  };
}
