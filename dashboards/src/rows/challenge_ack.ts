import { graph, UNIT } from "../panels.ts";
import { perMinute } from "../queries.ts";
import type { Row } from "./row.ts";

const RUNBOOK = "TuplewatchChallengeAckResets";

export const row: Row = {
  name: "challenge_ack",
  title: "challenge_ack: segments that do not fit their connection",
  panels: [
    graph({
      title: "Challenged segments",
      description:
        "Segments answered, or held back by a limiter, with an RFC 5961 challenge ACK, by what " +
        "was wrong with them. `syn`: a second connection on a live 4-tuple, or a restarted peer.",
      unit: UNIT.perMinute,
      runbook: RUNBOOK,
      perRow: 3,
      queries: [
        {
          expr: perMinute("tuplewatch_challenge_ack_events_total", { by: "trigger" }),
          legend: "{{trigger}}",
        },
      ],
    }),
    graph({
      title: "What became of challenged connections",
      description: "`reset_by_peer` within ten seconds of the challenge: the connection was lost.",
      unit: UNIT.perMinute,
      runbook: RUNBOOK,
      perRow: 3,
      queries: [
        {
          expr: perMinute("tuplewatch_challenge_ack_outcomes_total", { by: "outcome" }),
          legend: "{{outcome}}",
        },
      ],
    }),
    graph({
      title: "The kernel's own count",
      description:
        "TcpExt counters of the daemon's network namespace. The probe sees all namespaces, so " +
        "that it may count more, never less but for what it filtered or lost.",
      unit: UNIT.perMinute,
      runbook: RUNBOOK,
      perRow: 3,
      queries: [
        {
          expr: perMinute("tuplewatch_kernel_tcp_total", { by: "counter" }),
          legend: "{{counter}}",
        },
      ],
    }),
  ],
};
