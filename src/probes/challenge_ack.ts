import { clockResolutionNs, Posix } from "libbpf-ts";
import { Counter, type Registry } from "prom-client";
import type { ChallengeAckBody } from "./challenge_ack.schema.ts";
import { watchSurvivors } from "./challenge_ack_survivors.ts";
import { challengeOutcome } from "./challenge_outcome.ts";
import {
  type ChallengeAckEvent,
  challengeAckEventColumnCount,
  challengeAckEventColumns,
  challengeAckEventLayout,
  decodeChallengeAckEvent,
  decodeChallengeAckEventColumns,
  sentNames,
  triggerNames,
} from "./events.gen.ts";
import { enumName, formatCookie, formatEndpoint, TCP_STATE_NAMES } from "./fields.ts";
import type { Aggregator, Probe } from "./probe.ts";
import { Tally } from "./tally.ts";
import { zeroCombinations } from "./zero.ts";

/** Outcomes, who opened a socket, and what it received: the same for all backends. */
const COMMON = ["set_state", "destroy_sock", "receive_reset", "note_established"];

/** Only some kernels challenge half-open connections, by a function of its own. */
const REQUEST_FUNCTION = "tcp_reqsk_send_challenge_ack";

/** Answers SYNs that fail PAWS before 6.4. A compiler may make it a part of its caller. */
const DUPACK_FUNCTION = "tcp_send_dupack";

/**
 * One event per segment that a connection answers, or would answer, with a challenge ACK, and one
 * for what became of the connection.
 */
export const challengeAck: Probe = {
  name: "challenge_ack",
  backends: [
    {
      name: "fentry",
      programs: [
        ...COMMON,
        "fentry_validate",
        "fexit_accept",
        "fexit_challenge",
        "fentry_challenge",
        "fexit_request_challenge",
        "fentry_request_challenge",
        "fentry_dupack",
      ],
      calledPrograms: ["survive"],
      optional: {
        fentry_request_challenge: REQUEST_FUNCTION,
        fexit_request_challenge: REQUEST_FUNCTION,
        fentry_dupack: DUPACK_FUNCTION,
      },
    },
    {
      name: "kprobe",
      programs: COMMON,
      calledPrograms: ["survive"],
      kprobes: [
        { program: "kprobe_validate", functionName: "tcp_validate_incoming" },
        { program: "kretprobe_accept", functionName: "inet_csk_accept", ret: true },
        { program: "kretprobe_challenge", functionName: "tcp_send_challenge_ack", ret: true },
        { program: "kprobe_challenge", functionName: "tcp_send_challenge_ack" },
        { program: "kretprobe_request_challenge", functionName: REQUEST_FUNCTION, ret: true },
        { program: "kprobe_request_challenge", functionName: REQUEST_FUNCTION },
        { program: "kprobe_dupack", functionName: DUPACK_FUNCTION },
      ],
      optional: {
        kprobe_request_challenge: REQUEST_FUNCTION,
        kretprobe_request_challenge: REQUEST_FUNCTION,
        kprobe_dupack: DUPACK_FUNCTION,
      },
      globals: { config_owner_by_address: 1 },
    },
    {
      name: "drop_tracepoint",
      programs: [...COMMON, "drop_tracepoint"],
      calledPrograms: ["survive"],
    },
  ],
  layout: challengeAckEventLayout,
  columns: {
    ...challengeAckEventColumns,
    count: challengeAckEventColumnCount,
    decode: decodeChallengeAckEventColumns,
  },
  decode: (views, at) => {
    const event = decodeChallengeAckEvent(views, at);
    return { type: "challenge_ack", head: event.head, body: body(event) };
  },
  createAggregator,
  globals: () => ({ config_jiffy_ns: Number(clockResolutionNs(Posix.CLOCK_MONOTONIC_COARSE)) }),
  secondary: [challengeOutcome],
  upkeep: watchSurvivors,
};

function body(event: ChallengeAckEvent): ChallengeAckBody {
  return {
    ...formatCookie(event.socketCookie),
    local: formatEndpoint(event.local),
    peer: formatEndpoint(event.peer),
    tcp_state: TCP_STATE_NAMES[event.tcpState] ?? String(event.tcpState),
    trigger: enumName(triggerNames, event.trigger),
    ...sent(enumName(sentNames, event.sent)),
    ...(event.hasSegment !== 0 && { segment: { seq: event.seq, ack: event.ack } }),
    rcv_nxt: event.rcvNxt,
    snd_una: event.sndUna,
    ...(event.hasIdle !== 0 && { idle_ns: Number(event.idleNs) }),
  };
}

/** Nothing is said where the backend cannot know. */
function sent(
  name: (typeof sentNames)[keyof typeof sentNames],
): Pick<ChallengeAckBody, "sent" | "limiter"> {
  if (name === "socket_limited") return { sent: false, limiter: "socket" };
  if (name === "netns_limited") return { sent: false, limiter: "netns" };
  return name === "yes" ? { sent: true } : {};
}

function createAggregator(registry: Registry): Aggregator {
  const counter = new Counter({
    name: "tuplewatch_challenge_ack_events_total",
    help: "Segments to be answered with a challenge ACK, by cause and by whether it was sent.",
    labelNames: ["trigger", "sent"],
    registers: [registry],
  });
  zeroCombinations(counter, {
    trigger: Object.values(triggerNames),
    sent: Object.values(sentNames),
  });
  const columns = [challengeAckEventColumns.trigger, challengeAckEventColumns.sent];
  const tally = new Tally(counter, columns, ([trigger = 0, sent = 0]) => ({
    trigger: enumName(triggerNames, trigger),
    sent: enumName(sentNames, sent),
  }));
  return (rows, count) => {
    for (let index = 0; index < count; index++) {
      tally.add(rows, index * challengeAckEventColumnCount);
    }
    tally.flush();
  };
}
