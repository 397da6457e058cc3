import type { NetnsName } from "../events/fields.schema.ts";
import { formatNetns } from "../events/fields.ts";
import { mayTakeOverTimeWait } from "../kernel/tcp-settings.ts";
import { MS_PER_SECOND } from "../util/units.ts";
import type { Destination } from "./ports.schema.ts";
import type { PortScan } from "./sampler.ts";
import type { PortCounts } from "./snapshot.ts";

/** How near the end of the ports towards one destination is. */
export interface DestinationOutlook {
  readonly netns: NetnsName;
  readonly destination: Destination;
  /** Ports of the range, less those that a socket without a peer holds. */
  readonly usable: number;
  /** Part of them, from 0 to 1, that a new connection cannot have. */
  readonly ratio: number;
  /** When none is left at the present rate: within 10 minutes, or undefined. */
  readonly exhaustedInS: number | undefined;
}

/** Ports towards one destination at one moment. */
interface Sample {
  readonly atMs: number;
  /** Of sockets that are not in TIME_WAIT. */
  readonly open: number;
  /** In TIME_WAIT, unless a new connection may take them over. */
  readonly waiting: number;
}

/**
 * A burst that is shorter than an interval lies in two of them at most: with growth in three it has
 * gone on for longer.
 */
const GROWING_INTERVALS = 3;
/** Of the usable ports. Any pool of connections grows when it begins. */
const MIN_RATIO = 0.1;
/** Who is told has time to act, and what holds for ten minutes is no longer a guess. */
const HORIZON_S = 600;
/** TCP_TIMEWAIT_LEN, include/net/tcp.h. */
const TIME_WAIT_S = 60;
/**
 * With as many more sockets than ports, beyond what changes while they are listed, connections come
 * from several local addresses. Each has all of the range, and the count does not tell them apart.
 */
const SEVERAL_ADDRESSES_RATIO = 1.05;

/** Compares scans with those before them; each destination's history is as long as it needs. */
export class PortTrends {
  #scan: PortScan | undefined;
  #outlooks: ReadonlyMap<PortCounts, readonly DestinationOutlook[]> = new Map();
  #samples: ReadonlyMap<string, readonly Sample[]> = new Map();

  /** By namespace, those with the greatest part first. Scans are given in their order. */
  of(scan: PortScan): ReadonlyMap<PortCounts, readonly DestinationOutlook[]> {
    // Of a process that was started again the clock is another one.
    if (scan.takenAtMs < (this.#scan?.takenAtMs ?? 0)) this.#samples = new Map();
    if (scan.takenAtMs !== this.#scan?.takenAtMs) this.#take(scan);
    return this.#outlooks;
  }

  #take(scan: PortScan): void {
    const samples = new Map<string, readonly Sample[]>();
    const outlooks = new Map<PortCounts, readonly DestinationOutlook[]>();
    for (const snapshot of scan.snapshots) {
      const netns = netnsOf(snapshot);
      const found = snapshot.destinations.flatMap((destination) => {
        const key = keyOf(netns, destination);
        const sample = sampleOf(scan.takenAtMs, snapshot, destination);
        const known = (this.#samples.get(key) ?? []).slice(-GROWING_INTERVALS);
        samples.set(key, [...known, sample]);
        return outlookOf(netns, snapshot, destination, [...known, sample]) ?? [];
      });
      outlooks.set(
        snapshot,
        found.sort((one, other) => other.ratio - one.ratio),
      );
    }
    this.#scan = scan;
    this.#samples = samples;
    this.#outlooks = outlooks;
  }
}

function netnsOf({ netns: { cookie, inum, name } }: PortCounts): NetnsName {
  return { ...formatNetns(cookie ?? 0n, inum), ...(name !== undefined && { name }) };
}

function keyOf({ cookie, inum, name }: NetnsName, { protocol, peer }: Destination): string {
  const netns = cookie ?? `${inum} ${name}`;
  return `${netns} ${protocol} ${peer.address} ${peer.port}`;
}

function sampleOf(
  atMs: number,
  snapshot: PortCounts,
  { ports, states, peer }: Destination,
): Sample {
  const { time_wait: inTimeWait = 0 } = states;
  const waiting = Math.min(ports, inTimeWait);
  const { tcpSettings } = snapshot;
  // Sockets that were put in TIME_WAIT after the settings were to be read: as if they were not.
  const isFree = tcpSettings === undefined || mayTakeOverTimeWait(tcpSettings, peer.address);
  return { atMs, open: ports - waiting, waiting: isFree ? 0 : waiting };
}

function outlookOf(
  netns: NetnsName,
  { range, tcp }: PortCounts,
  destination: Destination,
  samples: readonly Sample[],
): DestinationOutlook | undefined {
  const isTcp = destination.protocol === "tcp";
  const usable = range.available - (isTcp ? tcp.bound_without_peer : 0);
  const last = samples.at(-1);
  if (usable <= 0 || last === undefined || isFromSeveralAddresses(destination)) return undefined;
  const taken = last.open + last.waiting;
  const ratio = Math.min(1, taken / usable);
  const left = isTcp && ratio >= MIN_RATIO ? secondsLeft(samples, usable - taken) : undefined;
  const exhaustedInS = left !== undefined && left <= HORIZON_S ? left : undefined;
  return { netns, destination, usable, ratio, exhaustedInS };
}

function isFromSeveralAddresses({ ports, states }: Destination): boolean {
  const sockets = Object.values(states).reduce((sum, count) => sum + count, 0);
  return sockets > SEVERAL_ADDRESSES_RATIO * ports;
}

/** Ports per second. */
interface Rate {
  readonly open: number;
  readonly waiting: number;
}

/**
 * Connections that stay open take ports for good. Those that end in TIME_WAIT give them back after
 * 60 s: what they take settles at the rate times 60 s.
 */
function secondsLeft(samples: readonly Sample[], room: number): number | undefined {
  if (room <= 0) return 0;
  const rate = leastRate(samples);
  const waiting = samples.at(-1)?.waiting ?? 0;
  if (rate === undefined) return undefined;
  const both = rate.open + rate.waiting;
  const settlesInS =
    rate.waiting > 0 ? Math.max(0, TIME_WAIT_S - waiting / rate.waiting) : Number.POSITIVE_INFINITY;
  if (room <= both * settlesInS) return room / both;
  if (rate.open <= 0) return undefined;
  return settlesInS + (room - both * settlesInS) / rate.open;
}

/** Of the last intervals; undefined unless there was growth in each. */
function leastRate(samples: readonly Sample[]): Rate | undefined {
  if (samples.length <= GROWING_INTERVALS) return undefined;
  const rates = samples.slice(1).map((sample, index) => rateBetween(samples[index], sample));
  const [least] = rates.sort((one, other) => sumOf(one) - sumOf(other));
  return least !== undefined && sumOf(least) > 0 ? least : undefined;
}

function rateBetween(before: Sample | undefined, after: Sample): Rate {
  if (before === undefined) return { open: 0, waiting: 0 };
  const seconds = (after.atMs - before.atMs) / MS_PER_SECOND;
  return {
    open: (after.open - before.open) / seconds,
    waiting: (after.waiting - before.waiting) / seconds,
  };
}

function sumOf({ open, waiting }: Rate): number {
  return open + waiting;
}
