import { Counter, type Registry } from "prom-client";
import type { ChallengeOutcomeBody } from "./challenge_ack.schema.ts";
import {
  type ChallengeOutcomeEvent,
  challengeOutcomeEventColumnCount,
  challengeOutcomeEventColumns,
  challengeOutcomeEventLayout,
  decodeChallengeOutcomeEvent,
  decodeChallengeOutcomeEventColumns,
  outcomeNames,
} from "./events.gen.ts";
import { enumName, eventTypeNumber, formatCookie, formatEndpoint } from "./fields.ts";
import type { Aggregator, SecondaryRecord } from "./probe.ts";
import { Tally } from "./tally.ts";
import { zeroCombinations } from "./zero.ts";

/** One event per challenged connection: what became of it, within ten seconds. */
export const challengeOutcome: SecondaryRecord = {
  eventType: eventTypeNumber("challenge_outcome"),
  layout: challengeOutcomeEventLayout,
  columns: {
    ...challengeOutcomeEventColumns,
    count: challengeOutcomeEventColumnCount,
    decode: decodeChallengeOutcomeEventColumns,
  },
  decode: (views, at) => {
    const event = decodeChallengeOutcomeEvent(views, at);
    return { type: "challenge_outcome", head: event.head, body: body(event) };
  },
  createAggregator,
};

function body(event: ChallengeOutcomeEvent): ChallengeOutcomeBody {
  return {
    ...formatCookie(event.socketCookie),
    local: formatEndpoint(event.local),
    peer: formatEndpoint(event.peer),
    outcome: enumName(outcomeNames, event.outcome),
    delay_ns: Number(event.delayNs),
    challenges: event.challenges,
  };
}

function createAggregator(registry: Registry): Aggregator {
  const counter = new Counter({
    name: "tuplewatch_challenge_ack_outcomes_total",
    help: "Challenged connections by what became of them within ten seconds.",
    labelNames: ["outcome"],
    registers: [registry],
  });
  zeroCombinations(counter, { outcome: Object.values(outcomeNames) });
  const tally = new Tally(counter, [challengeOutcomeEventColumns.outcome], ([outcome = 0]) => ({
    outcome: enumName(outcomeNames, outcome),
  }));
  return (rows, count) => {
    for (let index = 0; index < count; index++) {
      tally.add(rows, index * challengeOutcomeEventColumnCount);
    }
    tally.flush();
  };
}
