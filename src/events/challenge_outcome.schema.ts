import { Type } from "typebox";
import { outcomeNames } from "./events.gen.ts";
import { connectionFields, count, nanoseconds, oneOfNames } from "./fields.schema.ts";

export const challengeOutcomeBody = Type.Object(
  {
    ...connectionFields,
    outcome: oneOfNames(outcomeNames, "What became of the connection within ten seconds."),
    delay_ns: nanoseconds("Since the first challenge."),
    challenges: count("How many challenges there were."),
  },
  {
    description:
      "What became of a challenged connection: once for each, within ten seconds of its first " +
      "challenge.",
  },
);
