import { Histogram, type Registry } from "prom-client";
import type { FlowRetryBody } from "./conntrack.schema.ts";
import {
  decodeFlowRetryEvent,
  decodeFlowRetryEventColumns,
  type FlowRetryEvent,
  flowRetryEventColumnCount,
  flowRetryEventColumns,
  flowRetryEventLayout,
} from "./events.gen.ts";
import { eventTypeNumber, formatTuple, protocolName } from "./fields.ts";
import type { Aggregator, SecondaryRecord } from "./probe.ts";

/** One event per flow that conntrack had refused, once it is accepted: what the refusal cost. */
export const flowRetry: SecondaryRecord = {
  eventType: eventTypeNumber("flow_retry"),
  layout: flowRetryEventLayout,
  columns: {
    ...flowRetryEventColumns,
    count: flowRetryEventColumnCount,
    decode: decodeFlowRetryEventColumns,
  },
  decode: (views, at) => {
    const event = decodeFlowRetryEvent(views, at);
    return { type: "flow_retry", head: event.head, body: body(event) };
  },
  createAggregator,
};

function body(event: FlowRetryEvent): FlowRetryBody {
  return {
    protocol: protocolName(event.protocol),
    original: formatTuple(event.original),
    zone: event.zone,
    result: "accepted",
    delay_ns: Number(event.delayNs),
    refusals: event.refusals,
  };
}

/** TCP tries again after 1, 3, 7 ... seconds; resolvers mostly after 5. */
const BUCKETS_SECONDS = [0.01, 0.1, 0.5, 1.5, 3.5, 6, 10, 20, 40, 80];

const NS_PER_SECOND = 1e9;

function createAggregator(registry: Registry): Aggregator {
  const delays = new Histogram({
    name: "tuplewatch_conntrack_insert_failed_delay_seconds",
    help: "Time from a flow's first refusal by conntrack to the retry that was accepted.",
    labelNames: ["protocol"],
    buckets: BUCKETS_SECONDS,
    registers: [registry],
  });
  for (const protocol of ["tcp", "udp"]) delays.zero({ protocol });
  const { delayNs, protocol } = flowRetryEventColumns;
  return (rows, count) => {
    for (let index = 0, row = 0; index < count; index++, row += flowRetryEventColumnCount) {
      const label = { protocol: protocolName(rows[row + protocol] as number) };
      delays.observe(label, (rows[row + delayNs] as number) / NS_PER_SECOND);
    }
  };
}
