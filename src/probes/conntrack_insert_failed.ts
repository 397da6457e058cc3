import type { DecodedEvent, EventBody } from "../events/body.ts";
import type { ConntrackEntry } from "../events/conntrack.schema.ts";
import { type FlowOwner, RECORDS } from "../events/events.gen.ts";
import { enumName, formatFlowOwner, formatTuple, protocolName } from "../events/fields.ts";
import { flowRetry } from "./flow_retry.ts";
import { enumLabel, protocolLabel } from "./metric-specs.ts";
import type { Backend, Probe } from "./probe.ts";
import { recordType } from "./record-type.ts";

const MODULE = "nf_conntrack";

/** UDP's send functions are static: where a compiler inlined one, its senders stay unknown. */
const FENTRY: Backend = {
  name: "fentry",
  sinceKernel: "6.1",
  module: MODULE,
  programs: [
    "enter_tcp_connect",
    "enter_udp_send",
    "enter_udp_send_v6",
    "exit_confirm",
    "exit_resolve_clash",
    "enter_resolve_clash",
    "exit_alloc",
    "enter_early_drop",
  ],
  optional: { enter_udp_send: "udp_send_skb", enter_udp_send_v6: "udp_v6_send_skb" },
};

/** Returns before entries, so that no entry waits for a return that is not watched yet. */
const KPROBE: Backend = {
  name: "kprobe",
  sinceKernel: "5.10",
  module: MODULE,
  programs: [],
  kprobes: [
    { program: "kprobe_tcp_connect", functionName: "tcp_connect" },
    { program: "kprobe_udp_send", functionName: "udp_send_skb" },
    { program: "kprobe_udp_send_v6", functionName: "udp_v6_send_skb" },
    { program: "kretprobe_confirm", functionName: "__nf_conntrack_confirm", ret: true },
    { program: "kprobe_confirm", functionName: "__nf_conntrack_confirm" },
    { program: "kretprobe_resolve_clash", functionName: "nf_ct_resolve_clash", ret: true },
    { program: "kprobe_resolve_clash", functionName: "nf_ct_resolve_clash" },
    { program: "kretprobe_alloc", functionName: "__nf_conntrack_alloc", ret: true },
    { program: "kprobe_alloc", functionName: "__nf_conntrack_alloc" },
    { program: "kprobe_early_drop", functionName: "early_drop" },
  ],
  optional: { kprobe_udp_send: "udp_send_skb", kprobe_udp_send_v6: "udp_v6_send_skb" },
};

const DROP_TRACEPOINT: Backend = {
  name: "drop_tracepoint",
  sinceKernel: "6.1",
  blindTo:
    "the winner, owners, retries, `refusals`, resolved clashes, a full table; `cause` is inferred",
  programs: ["drop_tracepoint"],
};

const { columns, enums } = RECORDS.conntrack_insert_failed;

const insertFailed = recordType("conntrack_insert_failed", {
  body,
  participants: { owner: ({ owner }) => owner, winnerOwner: ({ winner }) => winner?.owner },
  counters: [
    {
      name: "tuplewatch_conntrack_insert_failed_events_total",
      help: "Packets whose conntrack entry could not be inserted, by cause and outcome.",
      labels: {
        protocol: protocolLabel(columns.protocol),
        nat: enumLabel(columns.nat, enums.nat),
        verdict: enumLabel(columns.verdict, enums.verdict),
        cause: enumLabel(columns.cause, enums.cause),
      },
      // Only a clash can be resolved.
      begin: [{ verdict: ["dropped"] }, { verdict: ["resolved"], cause: ["clash"] }],
    },
  ],
});

/** One event per packet whose new conntrack entry could not be inserted. */
export const conntrackInsertFailed: Probe = {
  name: "conntrack_insert_failed",
  signal: {
    moment: "conntrack refuses a new entry",
    explains: "a packet lost to a NAT port collision or a DNS race",
  },
  backends: [FENTRY, KPROBE, DROP_TRACEPOINT],
  recordTypes: [insertFailed, flowRetry],
};

function body(
  event: DecodedEvent<"conntrack_insert_failed">,
): EventBody<"conntrack_insert_failed"> {
  return {
    protocol: protocolName(event.protocol),
    original: formatTuple(event.original),
    reply: formatTuple(event.reply),
    nat: enumName(enums.nat, event.nat),
    zone: event.zone,
    verdict: enumName(enums.verdict, event.verdict),
    cause: enumName(enums.cause, event.cause),
    ...(event.refusals !== 0 && { refusals: event.refusals }),
    ...owner(event.owner),
    ...(event.hasWinner !== 0 && { winner: winner(event) }),
  };
}

/** The entry that holds the tuple. */
function winner(event: DecodedEvent<"conntrack_insert_failed">): ConntrackEntry {
  return {
    original: formatTuple(event.winnerOriginal),
    reply: formatTuple(event.winnerReply),
    ...owner(event.winnerOwner),
  };
}

/** Who sent the flow's first packet, where it is known: perhaps in another namespace. */
function owner(owner: FlowOwner): Pick<ConntrackEntry, "owner"> {
  if (owner.timeNs === 0n) return {};
  return { owner: formatFlowOwner(owner) };
}
