import type { DecodedEvent, EventBody } from "../events/body.ts";
import { RECORDS } from "../events/events.gen.ts";
import {
  enumName,
  formatCookie,
  formatEndpoint,
  formatFlowOwner,
  formatTuple,
  protocolName,
} from "../events/fields.ts";
import { booleanLabel, enumLabel } from "./metric-specs.ts";
import type { Probe } from "./probe.ts";
import { recordType } from "./record-type.ts";

const MODULE = "nf_conntrack";

const { columns, enums } = RECORDS.stale_flow_reuse;

const staleFlowReuse = recordType("stale_flow_reuse", {
  body,
  participants: { oldOwner: ({ old_owner }) => old_owner },
  counters: [
    {
      name: "tuplewatch_stale_flow_events_total",
      help: "UDP sockets that sent on the conntrack entry of a socket that is gone.",
      labels: {
        nat: enumLabel(columns.nat, enums.nat),
        redirected: booleanLabel(columns.redirected),
      },
    },
  ],
});

/** One event per UDP socket that sends on the conntrack entry of a socket that is gone. */
export const staleFlow: Probe = {
  name: "stale_flow",
  signal: {
    moment: "a UDP socket sends on the conntrack entry of one that is gone",
    explains: "datagrams that follow an old flow's NAT",
  },
  backends: [
    {
      name: "fentry",
      sinceKernel: "6.1",
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
      sinceKernel: "5.10",
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
  recordTypes: [staleFlowReuse],
};

function body(event: DecodedEvent<"stale_flow_reuse">): EventBody<"stale_flow_reuse"> {
  return {
    ...formatCookie(event.socketCookie),
    protocol: protocolName(event.protocol),
    original: formatTuple(event.original),
    reply: formatTuple(event.reply),
    nat: enumName(enums.nat, event.nat),
    zone: event.zone,
    age_ns: Number(event.ageNs),
    old_owner: { ...formatCookie(event.oldSocketCookie), ...formatFlowOwner(event.oldOwner) },
    redirected: event.redirected !== 0,
    actual_destination: formatEndpoint(event.reply.src),
  };
}
