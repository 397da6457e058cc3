import { Counter, type Registry } from "prom-client";
import {
  type ConntrackInsertFailedEvent,
  causeNames,
  conntrackInsertFailedEventColumnCount,
  conntrackInsertFailedEventColumns,
  conntrackInsertFailedEventLayout,
  decodeConntrackInsertFailedEvent,
  decodeConntrackInsertFailedEventColumns,
  natNames,
  verdictNames,
} from "./events.gen.ts";
import { enumName, formatTuple, protocolName } from "./fields.ts";
import type { Aggregator, DecodedRecord, Probe } from "./probe.ts";
import { Tally } from "./tally.ts";

/** One event per packet whose new conntrack entry could not be inserted. */
export const conntrackInsertFailed: Probe = {
  name: "conntrack_insert_failed",
  backends: [{ name: "drop_tracepoint", programs: ["drop_tracepoint"] }],
  layout: conntrackInsertFailedEventLayout,
  columns: {
    ...conntrackInsertFailedEventColumns,
    count: conntrackInsertFailedEventColumnCount,
    decode: decodeConntrackInsertFailedEventColumns,
  },
  decode: (views, at) => {
    const event = decodeConntrackInsertFailedEvent(views, at);
    return { type: "conntrack_insert_failed", head: event.head, body: body(event) };
  },
  createAggregator,
};

function body(event: ConntrackInsertFailedEvent): DecodedRecord["body"] {
  return {
    protocol: protocolName(event.protocol),
    original: formatTuple(event.original),
    reply: formatTuple(event.reply),
    nat: enumName(natNames, event.nat),
    zone: event.zone,
    verdict: enumName(verdictNames, event.verdict),
    cause: enumName(causeNames, event.cause),
  };
}

function createAggregator(registry: Registry): Aggregator {
  const counter = new Counter({
    name: "tuplewatch_conntrack_insert_failed_events_total",
    help: "Packets whose conntrack entry could not be inserted, by cause and outcome.",
    labelNames: ["protocol", "nat", "verdict", "cause"],
    registers: [registry],
  });
  const { protocol, nat, verdict, cause } = conntrackInsertFailedEventColumns;
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
