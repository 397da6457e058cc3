import { Counter, type Registry } from "prom-client";
import type { StaleFlowReuseBody } from "./conntrack.schema.ts";
import {
  decodeStaleFlowReuseEvent,
  decodeStaleFlowReuseEventColumns,
  natNames,
  type StaleFlowReuseEvent,
  staleFlowReuseEventColumnCount,
  staleFlowReuseEventColumns,
  staleFlowReuseEventLayout,
} from "./events.gen.ts";
import {
  enumName,
  formatCookie,
  formatEndpoint,
  formatFlowOwner,
  formatTuple,
  protocolName,
} from "./fields.ts";
import type { Aggregator, Party, Probe } from "./probe.ts";
import { Tally } from "./tally.ts";
import { zeroCombinations } from "./zero.ts";

const MODULE = "nf_conntrack";

/** One event per UDP socket that sends on the conntrack entry of a socket that is gone. */
export const staleFlow: Probe = {
  name: "stale_flow",
  backends: [
    {
      name: "fentry",
      module: MODULE,
      programs: [
        "exit_confirm",
        "exit_udp_send",
        "exit_udp_send_v6",
        "enter_udp_send",
        "enter_udp_send_v6",
      ],
      optional: { enter_udp_send_v6: "udp_v6_send_skb", exit_udp_send_v6: "udp_v6_send_skb" },
    },
    {
      name: "kprobe",
      module: MODULE,
      programs: [],
      cgroupPrograms: ["give_cookie"],
      kprobes: [
        { program: "kretprobe_confirm", functionName: "__nf_conntrack_confirm", ret: true },
        { program: "kprobe_confirm", functionName: "__nf_conntrack_confirm" },
        { program: "kretprobe_udp_send", functionName: "udp_send_skb", ret: true },
        { program: "kretprobe_udp_send_v6", functionName: "udp_v6_send_skb", ret: true },
        { program: "kprobe_udp_send", functionName: "udp_send_skb" },
        { program: "kprobe_udp_send_v6", functionName: "udp_v6_send_skb" },
      ],
      optional: {
        kprobe_udp_send_v6: "udp_v6_send_skb",
        kretprobe_udp_send_v6: "udp_v6_send_skb",
      },
    },
  ],
  layout: staleFlowReuseEventLayout,
  columns: {
    ...staleFlowReuseEventColumns,
    count: staleFlowReuseEventColumnCount,
    decode: decodeStaleFlowReuseEventColumns,
  },
  parties: [
    {
      pid: staleFlowReuseEventColumns.oldOwnerProcessPid,
      cgroupId: staleFlowReuseEventColumns.oldOwnerCgroupId,
      netnsInum: staleFlowReuseEventColumns.oldOwnerNetnsInum,
      find: ({ old_owner }) => old_owner as Party | undefined,
    },
  ],
  decode: (views, at) => {
    const event = decodeStaleFlowReuseEvent(views, at);
    return { type: "stale_flow_reuse", head: event.head, body: body(event) };
  },
  createAggregator,
};

function body(event: StaleFlowReuseEvent): StaleFlowReuseBody {
  return {
    ...formatCookie(event.socketCookie),
    protocol: protocolName(event.protocol),
    original: formatTuple(event.original),
    reply: formatTuple(event.reply),
    nat: enumName(natNames, event.nat),
    zone: event.zone,
    age_ns: Number(event.ageNs),
    old_owner: { ...formatCookie(event.oldSocketCookie), ...formatFlowOwner(event.oldOwner) },
    redirected: event.redirected !== 0,
    actual_destination: formatEndpoint(event.reply.src),
  };
}

function createAggregator(registry: Registry): Aggregator {
  const counter = new Counter({
    name: "tuplewatch_stale_flow_events_total",
    help: "UDP sockets that sent on the conntrack entry of a socket that is gone.",
    labelNames: ["nat", "redirected"],
    registers: [registry],
  });
  zeroCombinations(counter, { nat: Object.values(natNames), redirected: ["false", "true"] });
  const columns = [staleFlowReuseEventColumns.nat, staleFlowReuseEventColumns.redirected];
  const tally = new Tally(counter, columns, ([nat = 0, redirected = 0]) => ({
    nat: enumName(natNames, nat),
    redirected: String(redirected !== 0),
  }));
  return (rows, count) => {
    for (let index = 0; index < count; index++) {
      tally.add(rows, index * staleFlowReuseEventColumnCount);
    }
    tally.flush();
  };
}
