import type { DecodedEvent, EventBody } from "../events/body.ts";
import { RECORDS } from "../events/events.gen.ts";
import { enumName, formatCookie, formatEndpoint } from "../events/fields.ts";
import { enumLabel } from "./metric-specs.ts";
import { recordType } from "./record-type.ts";

const { columns, enums } = RECORDS.challenge_outcome;

/** One event per challenged connection: what became of it, within ten seconds. */
export const challengeOutcome = recordType("challenge_outcome", {
  body,
  counters: [
    {
      name: "tuplewatch_challenge_ack_outcomes_total",
      help: "Challenged connections by what became of them within ten seconds.",
      labels: { outcome: enumLabel(columns.outcome, enums.outcome) },
    },
  ],
});

function body(event: DecodedEvent<"challenge_outcome">): EventBody<"challenge_outcome"> {
  return {
    ...formatCookie(event.socketCookie),
    local: formatEndpoint(event.local),
    peer: formatEndpoint(event.peer),
    outcome: enumName(enums.outcome, event.outcome),
    delay_ns: Number(event.delayNs),
    challenges: event.challenges,
  };
}
