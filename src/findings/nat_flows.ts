/*
 * What tells a race for a NAT port from a range that is used up. In both the kernel refuses an entry
 * whose tuple another one holds (nf_ct_resolve_clash), since the NAT code, after up to 128
 * tries, goes on with a port that is taken (nf_nat_l4proto_unique_tuple, net/netfilter/nf_nat_core.c).
 *
 *  - A race is over at once: the same flow's next packet, a SYN sent again or a repeated request,
 *    finds another port. So a refused flow is first taken for a race.
 *  - Used up: the same flow is refused again later on; or three flows to one destination are
 *    refused within ten seconds and none of them succeeded. Flows that kept their own source port do
 *    not count there: NAT keeps a port only if it found it free, so losing it was a race.
 */
import type { FindingKind } from "../events/finding-kinds.ts";
import { FairLruMap, type Principal } from "../util/fair-lru.ts";
import { endpointText, findingNetnsKey, netnsKey, placeKey, tupleText } from "./format.ts";
import type { FlowRetryObserved, InsertFailedObserved, NetnsName, Tuple } from "./observed.ts";
import { timeMs } from "./observed.ts";
import { principalOf } from "./principal.ts";

const MAX_FLOWS = 4096;
const MAX_DESTINATIONS = 512;

/** Packets of one flow this close together may have raced with each other. */
const AGAIN_MS = 200;

/** SYNs are sent for 127 s (tcp_syn_retries 6). */
const FLOW_MS = 130_000;

const CROWD_FLOWS = 3;
const CROWD_MS = 10_000;

/** A range that was used up is believed to be so for this long. */
const USED_UP_MS = 60_000;

export interface NatFlow {
  /** Namespace, zone, protocol and tuple. */
  readonly id: string;
  /** Finding that its refusals went into. */
  kind: FindingKind;
  readonly key: string;
  readonly netns: NetnsName | undefined;
  readonly original: Tuple;
  readonly firstMs: number;
  lastMs: number;
  refusals: number;
  /** Its next packet was accepted. */
  succeeded: boolean;
  /** The delay it had is part of the finding. */
  delayTold: boolean;
}

interface Destination {
  /** Refused flows that NAT gave another port, oldest first. */
  crowd: NatFlow[];
  usedUpAtMs: number;
}

/** Undefined: several, and which of them is meant does not show. */
interface Sent {
  flow: NatFlow | undefined;
}

/** Flows that were refused under NAT, bounded. */
export class NatFlows {
  readonly #flows = new FairLruMap<string, NatFlow>(MAX_FLOWS);
  /** By the namespace that they are sent from, which sees no zone. */
  readonly #sent = new FairLruMap<string, Sent>(MAX_FLOWS);
  readonly #destinations = new FairLruMap<string, Destination>(MAX_DESTINATIONS);

  /** The flow that was refused there; later on the tuple is that of another one. */
  find(event: Refusable): NatFlow | undefined {
    return unlessOld(this.#flows.get(flowId(event)), timeMs(event));
  }

  /** A flow that a process in `netns` sends, wherever on its way it was refused. */
  findSent(netns: NetnsName | undefined, protocol: string, original: Tuple, nowMs: number) {
    return unlessOld(this.#sent.get(sentId(netns, protocol, original))?.flow, nowMs);
  }

  /** Takes a refused packet's flow and decides which kind of finding it belongs to. */
  refuse(event: InsertFailedObserved): NatFlow {
    const nowMs = timeMs(event);
    const key = destinationKey(event);
    const known = this.find(event);
    const flow = known?.succeeded === false ? known : newFlow(event, key, nowMs);
    flow.lastMs = nowMs;
    const principal = principalOf(event.owner ?? event);
    this.#flows.set(flow.id, flow, principal);
    this.#noteSent(event, flow, principal);
    flow.refusals = Math.max(flow.refusals + 1, event.refusals ?? 0);
    const destination = this.#destinations.get(key) ?? { crowd: [], usedUpAtMs: -USED_UP_MS };
    this.#destinations.set(key, destination, principal);
    if (translatesSource(event) && isUsedUp(event, flow, destination, nowMs)) {
      flow.kind = "nat_ports_exhausted";
      destination.usedUpAtMs = nowMs;
    }
    return flow;
  }

  /** From the namespace it was refused in, or from that of its owner, which is another process's. */
  #noteSent(event: InsertFailedObserved, flow: NatFlow, principal: Principal): void {
    const { netns, owner, protocol, original } = event;
    const places = [netns, ...(owner?.netns === undefined ? [] : [owner.netns])];
    for (const id of new Set(places.map((place) => sentId(place, protocol, original)))) {
      const before = this.#sent.get(id);
      const other = before && (before.flow === undefined || before.flow.id !== flow.id);
      const isShared = other && unlessOld(before.flow ?? flow, flow.lastMs) !== undefined;
      this.#sent.set(id, { flow: isShared ? undefined : flow }, principal);
    }
  }
}

function unlessOld(flow: NatFlow | undefined, nowMs: number): NatFlow | undefined {
  return flow !== undefined && nowMs - flow.lastMs <= FLOW_MS ? flow : undefined;
}

function newFlow(event: InsertFailedObserved, key: string, nowMs: number): NatFlow {
  return {
    id: flowId(event),
    kind: "nat_insert_race",
    key,
    netns: event.netns,
    original: event.original,
    firstMs: nowMs,
    lastMs: nowMs,
    refusals: 0,
    succeeded: false,
    delayTold: false,
  };
}

function isUsedUp(
  event: InsertFailedObserved,
  flow: NatFlow,
  destination: Destination,
  nowMs: number,
): boolean {
  if (event.cause === "no_unique_tuple" || flow.kind === "nat_ports_exhausted") return true;
  if (isSameFlow(event)) return false;
  if (nowMs - flow.firstMs >= AGAIN_MS) return true;
  if (event.reply.dst.port === event.original.src.port) return false;
  const recent = destination.crowd.filter(
    (other) => nowMs - other.firstMs <= CROWD_MS && other !== flow,
  );
  destination.crowd = [...recent.slice(1 - CROWD_FLOWS), flow];
  if (nowMs - destination.usedUpAtMs <= USED_UP_MS) return true;
  const { crowd } = destination;
  return crowd.length >= CROWD_FLOWS && crowd.every(({ succeeded }) => !succeeded);
}

export function translatesSource({ nat }: InsertFailedObserved): boolean {
  return nat === "snat" || nat === "both";
}

/** Two packets of one flow, both the first: sent at once on one socket. */
export function isSameFlow({ original, winner }: InsertFailedObserved): boolean {
  return winner !== undefined && tupleText(winner.original) === tupleText(original);
}

/** One finding for all flows to one destination behind one translated address. */
function destinationKey(event: InsertFailedObserved): string {
  const { protocol, nat, original, reply } = event;
  const translated = nat === "dnat" ? "" : reply.dst.address;
  const place = `${findingNetnsKey(event.netns)} zone ${event.zone ?? 0}`;
  return `${place} ${protocol} ${endpointText(original.dst)} ${translated}`;
}

type Refusable = InsertFailedObserved | FlowRetryObserved;

function flowId(event: Refusable): string {
  return `${placeKey(event)} ${event.protocol} ${tupleText(event.original)}`;
}

function sentId(netns: NetnsName | undefined, protocol: string, original: Tuple): string {
  return `${netnsKey(netns)} ${protocol} ${tupleText(original)}`;
}
