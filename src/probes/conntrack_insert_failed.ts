import { Counter, type Registry } from "prom-client";
import type { ConntrackEntry, ConntrackInsertFailedBody } from "./conntrack.schema.ts";
import {
  type ConntrackInsertFailedEvent,
  causeNames,
  conntrackInsertFailedEventColumnCount,
  conntrackInsertFailedEventColumns,
  conntrackInsertFailedEventLayout,
  decodeConntrackInsertFailedEvent,
  decodeConntrackInsertFailedEventColumns,
  type FlowOwner,
  natNames,
  verdictNames,
} from "./events.gen.ts";
import { enumName, formatFlowOwner, formatTuple, protocolName } from "./fields.ts";
import { flowRetry } from "./flow_retry.ts";
import type { Aggregator, Backend, Party, PartyColumns, Probe } from "./probe.ts";
import { Tally } from "./tally.ts";
import { zeroCombinations } from "./zero.ts";

const MODULE = "nf_conntrack";

/** UDP's send functions are static: where a compiler inlined one, its senders stay unknown. */
const FENTRY: Backend = {
  name: "fentry",
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

const COLUMNS = conntrackInsertFailedEventColumns;

const PARTIES: readonly PartyColumns[] = [
  {
    pid: COLUMNS.ownerProcessPid,
    cgroupId: COLUMNS.ownerCgroupId,
    netnsInum: COLUMNS.ownerNetnsInum,
    find: ({ owner }) => owner as Party | undefined,
  },
  {
    pid: COLUMNS.winnerOwnerProcessPid,
    cgroupId: COLUMNS.winnerOwnerCgroupId,
    netnsInum: COLUMNS.winnerOwnerNetnsInum,
    find: ({ winner }) => (winner as { owner?: Party } | undefined)?.owner,
  },
];

/** One event per packet whose new conntrack entry could not be inserted. */
export const conntrackInsertFailed: Probe = {
  name: "conntrack_insert_failed",
  backends: [FENTRY, KPROBE, { name: "drop_tracepoint", programs: ["drop_tracepoint"] }],
  layout: conntrackInsertFailedEventLayout,
  columns: {
    ...COLUMNS,
    count: conntrackInsertFailedEventColumnCount,
    decode: decodeConntrackInsertFailedEventColumns,
  },
  parties: PARTIES,
  decode: (views, at) => {
    const event = decodeConntrackInsertFailedEvent(views, at);
    return { type: "conntrack_insert_failed", head: event.head, body: body(event) };
  },
  createAggregator,
  secondary: [flowRetry],
};

function body(event: ConntrackInsertFailedEvent): ConntrackInsertFailedBody {
  return {
    protocol: protocolName(event.protocol),
    original: formatTuple(event.original),
    reply: formatTuple(event.reply),
    nat: enumName(natNames, event.nat),
    zone: event.zone,
    verdict: enumName(verdictNames, event.verdict),
    cause: enumName(causeNames, event.cause),
    ...(event.refusals !== 0 && { refusals: event.refusals }),
    ...owner(event.owner),
    ...(event.hasWinner !== 0 && { winner: winner(event) }),
  };
}

/** The entry that holds the tuple. */
function winner(event: ConntrackInsertFailedEvent): ConntrackEntry {
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

function createAggregator(registry: Registry): Aggregator {
  const counter = new Counter({
    name: "tuplewatch_conntrack_insert_failed_events_total",
    help: "Packets whose conntrack entry could not be inserted, by cause and outcome.",
    labelNames: ["protocol", "nat", "verdict", "cause"],
    registers: [registry],
  });
  zeroRefusals(counter);
  const { protocol, nat, verdict, cause } = COLUMNS;
  const tally = new Tally(counter, [protocol, nat, verdict, cause], (values) => {
    const [number = 0, kind = 0, fate = 0, why = 0] = values;
    return {
      protocol: protocolName(number),
      nat: enumName(natNames, kind),
      verdict: enumName(verdictNames, fate),
      cause: enumName(causeNames, why),
    };
  });
  return (rows, count) => {
    for (let index = 0; index < count; index++) {
      tally.add(rows, index * conntrackInsertFailedEventColumnCount);
    }
    tally.flush();
  };
}

/** Only a clash can be resolved. Protocols other than these two are rare. */
function zeroRefusals(counter: Counter): void {
  const common = { protocol: ["tcp", "udp"], nat: Object.values(natNames) };
  const causes = Object.values(causeNames);
  zeroCombinations(counter, { ...common, verdict: ["dropped"], cause: causes });
  zeroCombinations(counter, { ...common, verdict: ["resolved"], cause: ["clash"] });
}
