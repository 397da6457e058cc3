import { Type } from "typebox";
import { entry, entryFields, nat, zone } from "./conntrack.schema.ts";
import { causeNames, verdictNames } from "./events.gen.ts";
import { count, oneOfNames, protocol } from "./fields.schema.ts";

export const conntrackInsertFailedBody = Type.Object(
  {
    protocol,
    ...entryFields,
    nat,
    zone,
    verdict: oneOfNames(
      verdictNames,
      "What became of the packet; `resolved`: conntrack sorted the clash out, and it went on.",
    ),
    cause: oneOfNames(causeNames, "Why the entry was refused."),
    refusals: Type.Optional(
      count(
        "How often this flow has been refused so far, with this time; of dropped packets only. 1 and " +
          "then a `flow_retry` is a race, more and more is a lack of free tuples.",
      ),
    ),
    winner: Type.Optional(entry),
  },
  {
    description:
      "Conntrack refused the entry of a new flow. `original` and `reply` are the flow that was " +
      "refused, each way; `owner` opened it, perhaps in another network namespace. `winner` is the " +
      "entry that holds the tuple.",
  },
);
