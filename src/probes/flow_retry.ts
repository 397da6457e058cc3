import type { DecodedEvent, EventBody } from "../events/body.ts";
import { RECORDS } from "../events/events.gen.ts";
import { formatTuple, protocolName } from "../events/fields.ts";
import { NS_PER_SECOND } from "../util/units.ts";
import { protocolLabel } from "./metric-specs.ts";
import { recordType } from "./record-type.ts";

/** TCP tries again after 1, 3, 7 ... seconds; resolvers mostly after 5. */
const BUCKETS_SECONDS = [0.01, 0.1, 0.5, 1.5, 3.5, 6, 10, 20, 40, 80];

const { columns } = RECORDS.flow_retry;

/** One event per flow that conntrack had refused, once it is accepted: what the refusal cost. */
export const flowRetry = recordType("flow_retry", {
  body,
  histograms: [
    {
      name: "tuplewatch_conntrack_insert_failed_delay_seconds",
      help: "Time from a flow's first refusal by conntrack to the retry that was accepted.",
      labels: { protocol: protocolLabel(columns.protocol) },
      column: columns.delayNs,
      perUnit: NS_PER_SECOND,
      buckets: BUCKETS_SECONDS,
    },
  ],
});

function body(event: DecodedEvent<"flow_retry">): EventBody<"flow_retry"> {
  return {
    protocol: protocolName(event.protocol),
    original: formatTuple(event.original),
    zone: event.zone,
    result: "accepted",
    delay_ns: Number(event.delayNs),
    refusals: event.refusals,
  };
}
