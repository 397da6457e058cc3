import { statSync } from "node:fs";
import ipaddr from "ipaddr.js";
import type { ScanAnswer } from "../../channel/answers.ts";
import { MAX_PIDS, type Question } from "../../channel/questions.ts";
import type { Endpoint } from "../../events/fields.schema.ts";
import type { LocateNetns } from "../../findings/locate-netns.ts";
import type { NetnsPlace } from "../../findings/place.ts";
import type { NetworkNamespace } from "../../kernel/namespaces.ts";
import type { CgroupName } from "../../names/cgroups.ts";
import type { NetnsFile } from "../../names/netns-files.ts";
import type { NetnsAnswer, NetnsQuestion, NetnsResolver } from "../../names/netns-resolver.ts";
import type { PortHolder } from "../../ports/ports.schema.ts";
import type { PortQueryResult, QueryPorts } from "../../ports/query.ts";
import type { PortReport } from "../../ports/report.schema.ts";
import type { PortReportQuery } from "../../ports/report.ts";
import type { PortScan, PortScans } from "../../ports/sampler.ts";
import { errnoOf } from "../../util/errno.ts";
import { LruMap } from "../../util/lru.ts";
import { shareInFlight } from "../../util/share-in-flight.ts";

/** Answers come from the privileged process. */
export interface Asks {
  /** Rejects if it refuses. */
  ask(question: Omit<Question, "id">): Promise<unknown>;
}

/** Answers are waited for. */
export interface AsksAndWaits {
  /** @throws Error if it refuses, or does not answer in time. */
  ask(question: Omit<Question, "id">): unknown;
}

const PROTOCOLS = { tcp: 6, udp: 17 } as const;

/** Of a cgroup's id; undefined where it is not known. */
export type NameCgroup = (id: number) => CgroupName | undefined;

/** As findings ask it; what is not known there is in nobody's list of ports. */
export function remotePorts(channel: Asks, nameCgroup: NameCgroup): QueryPorts {
  return async ({ netns, pid, protocol, peer, port, range, failedAtMs }) => {
    const answer = (await channel.ask({
      kind: "use",
      ...identity(netns.cookie, netns.inum),
      ...(pid !== undefined && { pids: [pid] }),
      protocol: PROTOCOLS[protocol],
      ...(peer !== undefined && { peer: numbersOf(peer) }),
      ...(port !== undefined && { port }),
      ...(range !== undefined && { range }),
      ...(failedAtMs !== undefined && { atMs: failedAtMs }),
    })) as PortQueryResult | undefined;
    if (answer === undefined) return undefined;
    const [holders, lockers] = [answer.holders, answer.lockers].map((some) =>
      nameHolders(some, nameCgroup),
    );
    return { ...answer, holders: holders ?? [], lockers: lockers ?? [] };
  };
}

/** The privileged process knows cgroups by their ids only. */
function nameHolders(holders: readonly PortHolder[], nameCgroup: NameCgroup): PortHolder[] {
  return holders.map((holder) => {
    const { id } = holder.cgroup ?? {};
    if (id === undefined) return holder;
    return { ...holder, cgroup: { ...holder.cgroup, ...nameCgroup(Number(id)) } };
  });
}

/** Questions have no text: who is meant by a name is found out here. */
export function remoteReport(
  channel: Asks,
  nameCgroup: NameCgroup,
): (query: PortReportQuery) => Promise<PortReport> {
  return async ({ netns, protocol }) => {
    const limit = protocol === undefined ? {} : { protocol: PROTOCOLS[protocol] };
    const ask = async (question: Partial<Question>): Promise<PortReport> => {
      const report = (await channel.ask({ kind: "report", ...limit, ...question })) as PortReport;
      const named = report.network_namespaces.map((one) => ({
        ...one,
        holders: nameHolders(one.holders, nameCgroup),
      }));
      return { ...report, network_namespaces: named };
    };
    if (netns === undefined) return ask({});
    const known = (await channel.ask({ kind: "namespaces" })) as readonly NetworkNamespace[];
    const meant = known.filter(({ inum, cookie, name }) =>
      [String(inum), String(cookie), name].includes(netns),
    );
    const reports: PortReport[] = [];
    for (const { inum, cookie } of meant) {
      reports.push(await ask(cookie === undefined ? { inum } : { cookie }));
    }
    return {
      network_namespaces: reports.flatMap((one) => one.network_namespaces),
      left_out: 0,
      unreadable: reports.flatMap((one) => one.unreadable),
    };
  };
}

export class RemoteScans implements PortScans {
  readonly #channel: Asks;
  #latest: ScanAnswer = { number: 0, scan: undefined, ageMs: undefined, failures: 0 };
  #takenAtMs = 0;
  /** Scans that nobody answered. */
  #missed = 0;

  constructor(channel: Asks) {
    this.#channel = channel;
  }

  get failures(): number {
    return this.#latest.failures + this.#missed;
  }

  get ageMs(): number | undefined {
    const { ageMs } = this.#latest;
    return ageMs === undefined ? undefined : performance.now() - this.#takenAtMs;
  }

  async latest(): Promise<PortScan | undefined> {
    await this.#ask();
    return this.#latest.scan;
  }

  /** Where there is no answer in time, the ports of a while ago are better than none. */
  readonly #ask = shareInFlight(async () => {
    try {
      const { number, scan } = this.#latest;
      const answer = (await this.#channel.ask({ kind: "scan", inum: number })) as ScanAnswer;
      this.#latest = answer.number === number ? { ...answer, scan } : answer;
      this.#takenAtMs = performance.now() - (this.#latest.ageMs ?? 0);
    } catch {
      this.#missed++;
    }
  });
}

/** Whether there is a better name can wait: files are read again after this long anyway. */
const BETTER_NAME_MS = 3000;

/**
 * A file that this process may not see, as those of Docker, is believed for this long: who looks
 * after them gives no name to another namespace, so what can be wrong is a name just taken away.
 */
const UNSEEN_FILE_MS = 1000;

const MAX_NAMES = 8192;

/**
 * Asks the privileged process, some 0.2 ms each time in which this process stands still. That a
 * file still is the namespace that it was takes no right where its directory can be entered: so
 * each batch of events has that looked at here, and asks only for what may have changed.
 */
export class RemoteNetnsResolver implements NetnsResolver {
  readonly #channel: AsksAndWaits;
  readonly #look: LookAtFile;
  readonly #confirmedAtMs = new LruMap<NetnsAnswer, number>(MAX_NAMES);

  constructor(channel: AsksAndWaits, look: LookAtFile = lookAtFile) {
    this.#channel = channel;
    this.#look = look;
  }

  resolve(question: NetnsQuestion): NetnsAnswer | undefined {
    const found = this.#channel.ask({ kind: "netns", ...numbers(question) });
    const answer = found as NetnsAnswer | undefined;
    if (answer !== undefined) this.#confirmedAtMs.set(answer, performance.now());
    return answer;
  }

  confirm(question: NetnsQuestion, answer: NetnsAnswer): boolean {
    const nowMs = performance.now();
    const confirmedAtMs = this.#confirmedAtMs.get(answer) ?? Number.NEGATIVE_INFINITY;
    if (nowMs - confirmedAtMs < this.#holdsForMs(answer)) return true;
    const isConfirmed = this.#channel.ask({ kind: "confirm", ...numbers(question) }) === true;
    if (isConfirmed) this.#confirmedAtMs.set(answer, nowMs);
    return isConfirmed;
  }

  /** How long after it was found right an answer needs no question, as things are now. */
  #holdsForMs({ file, isProven }: NetnsAnswer): number {
    // A container's name belongs to its namespace for good.
    if (file === undefined) return isProven ? BETTER_NAME_MS : 0;
    switch (this.#look(file)) {
      case "same":
        return BETTER_NAME_MS;
      case "unseen":
        return UNSEEN_FILE_MS;
      case "other":
        return 0;
    }
  }
}

/** What a file is now: the namespace that it was, something else or nothing, or not to be seen. */
export type LookAtFile = (file: NetnsFile) => "same" | "other" | "unseen";

function lookAtFile({ path, inum, inodeMadeAtMs }: NetnsFile): ReturnType<LookAtFile> {
  try {
    const { ino, ctimeMs } = statSync(path);
    return ino === inum && ctimeMs === inodeMadeAtMs ? "same" : "other";
  } catch (error) {
    return errnoOf(error) === "EACCES" ? "unseen" : "other";
  }
}

/** As `createLocateNetns`. @throws Error where the privileged process does not answer. */
export function remoteLocate(channel: AsksAndWaits): LocateNetns {
  return (netns, pids) => {
    const { cookie, inum } = netns ?? {};
    if (inum === undefined) return { cookie, inum };
    const left = pids.filter((pid) => pid !== undefined);
    const ask = () => {
      const some = left.splice(0, MAX_PIDS);
      return channel.ask({ kind: "place", ...identity(cookie, inum), pids: some }) as NetnsPlace;
    };
    let place = ask();
    while (left.length > 0 && !hasWay(place)) place = ask();
    return place;
  };
}

function hasWay({ isHome, ipNetnsName, pid }: NetnsPlace): boolean {
  return isHome === true || ipNetnsName !== undefined || pid !== undefined;
}

function identity(cookie: string | undefined, inum: number | undefined): Partial<Question> {
  return {
    ...(cookie !== undefined && { cookie: BigInt(cookie) }),
    ...(inum !== undefined && { inum }),
  };
}

function numbers({ cookie, inum, pid }: NetnsQuestion): Partial<Question> {
  return {
    ...(cookie !== undefined && { cookie: BigInt(cookie) }),
    inum,
    ...(pid !== 0 && { pids: [pid] }),
  };
}

function numbersOf({ address, port }: Endpoint): NonNullable<Question["peer"]> {
  const parsed = ipaddr.parse(address);
  const ipv6 = parsed instanceof ipaddr.IPv4 ? parsed.toIPv4MappedAddress() : parsed;
  return { address: Uint8Array.from(ipv6.toByteArray()), port };
}
