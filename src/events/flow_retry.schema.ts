import { Type } from "typebox";
import { zone } from "./conntrack.schema.ts";
import { count, nanoseconds, oneOf, protocol, tuple } from "./fields.schema.ts";

export const flowRetryBody = Type.Object(
  {
    protocol,
    original: tuple,
    zone,
    result: oneOf(["accepted"], "What became of the retry."),
    delay_ns: nanoseconds("Since the flow's first refusal."),
    refusals: count("How often the flow had been refused."),
  },
  {
    description:
      "Conntrack accepted a flow that it had refused: TCP's retransmit, or the application's next " +
      "request. Once for each refused flow, within 130 s of its last refusal; never by " +
      "`drop_tracepoint`.",
  },
);
