/*
 * Refused packets under NAT, their retries and the connects they delayed, as observations of
 * nat_insert_race or nat_ports_exhausted. No finding: a clash that conntrack resolved; one without
 * NAT, where two packets of one flow came at once; any other cause.
 */
import { type Detector, NOTHING, type Step } from "./detector.ts";
import type { Consequence, Diagnosis, Observed, Party } from "./finding.ts";
import { ownerOf, secondsOf } from "./format.ts";
import { type NatFlow, NatFlows } from "./nat_flows.ts";
import { describeRace } from "./nat_insert_race.ts";
import { describeExhausted } from "./nat_ports_exhausted.ts";
import {
  type ConnectObserved,
  type Entry,
  type FlowRetryObserved,
  type InsertFailedObserved,
  isType,
  type ObservedEvent,
  type Owner,
  timeMs,
} from "./observed.ts";

const CAUSES = ["clash", "no_unique_tuple"];

export function createNatRefusals(): Detector {
  const flows = new NatFlows();
  return {
    types: ["conntrack_insert_failed", "flow_retry", "connect"],
    take(event) {
      if (isType(event, "conntrack_insert_failed")) return refuse(event);
      if (isType(event, "flow_retry")) return retry(event);
      return isType(event, "connect") ? connect(event) : NOTHING;
    },
  };

  function refuse(event: InsertFailedObserved): Step {
    if (event.verdict !== "dropped" || event.nat === "none") return NOTHING;
    if (!CAUSES.includes(event.cause)) return NOTHING;
    const flow = flows.refuse(event);
    const exhausted = flow.kind === "nat_ports_exhausted";
    const describe = (observed: Observed): Diagnosis =>
      exhausted ? describeExhausted(observed, event) : describeRace(observed, event);
    return {
      observations: [
        {
          kind: flow.kind,
          key: flow.key,
          opens: true,
          count: 1,
          time: event.time,
          netns: event.netns,
          evidence: [event.seq],
          parties: parties(event),
          tuples: [{ protocol: event.protocol, original: event.original, reply: event.reply }],
          consequence: { lost_packets: 1 },
          describe,
          ...(exhausted && { replaces: { kind: "nat_insert_race", key: flow.key } }),
        },
      ],
    };
  }

  function retry(event: FlowRetryObserved): Step {
    const flow = flows.find(event);
    if (flow === undefined) return NOTHING;
    flow.succeeded = true;
    const delay = flow.delayTold ? {} : delayed(event.delay_ns);
    flow.delayTold = true;
    return more(flow, event, delay, []);
  }

  /** The sender's own view of a refused TCP flow, perhaps from another network namespace. */
  function connect(event: ConnectObserved): Step {
    if (event.protocol !== "tcp" || event.syn_retransmits === 0) return NOTHING;
    const { address, port } = event.local ?? {};
    if (address === undefined || port === undefined) return NOTHING;
    const original = { src: { address, port }, dst: event.peer };
    const flow = flows.findSent(event.netns, "tcp", original, timeMs(event));
    if (flow === undefined) return NOTHING;
    const who: Party[] = [
      { role: "refused", ...ownerOf(event), local: { address, port }, peer: event.peer },
    ];
    if (event.result !== "ok") return more(flow, event, { failed_connects: 1 }, who);
    flow.succeeded = true;
    const delay = flow.delayTold ? {} : delayed(event.duration_ns);
    flow.delayTold = true;
    return more(flow, event, delay, who);
  }
}

function more(
  flow: NatFlow,
  event: ObservedEvent,
  consequence: Consequence,
  parties: readonly Party[],
): Step {
  return {
    observations: [
      {
        kind: flow.kind,
        key: flow.key,
        opens: false,
        count: 0,
        time: event.time,
        netns: flow.netns,
        evidence: [event.seq],
        parties,
        tuples: [],
        consequence,
      },
    ],
  };
}

function delayed(ns: number): Consequence {
  const seconds = secondsOf(ns);
  return { delayed_flows: 1, delay_seconds: seconds, delay_seconds_max: seconds };
}

/** The flow that was refused and the one that holds its tuple. */
function parties(event: InsertFailedObserved): Party[] {
  const head = event.attribution === "none" ? {} : event;
  return [
    { ...party("refused", event, event.owner ?? head), failures: 1 },
    ...(event.winner === undefined ? [] : [party("holder", event.winner, event.winner.owner)]),
  ];
}

function party(role: string, { original }: Entry, owner: Owner | undefined): Party {
  return { role, ...ownerOf(owner ?? {}), local: original.src, peer: original.dst };
}
