import { clockResolutionNs, Posix } from "libbpf-ts";
import type { DecodedEvent, EventBody } from "../events/body.ts";
import { RECORDS } from "../events/events.gen.ts";
import { enumName, formatCookie, formatEndpoint, TCP_STATE_NAMES } from "../events/fields.ts";
import { pollSurvivors } from "./challenge_ack_survivors.ts";
import { challengeOutcome } from "./challenge_outcome.ts";
import { enumLabel } from "./metric-specs.ts";
import type { Probe } from "./probe.ts";
import { recordType } from "./record-type.ts";

/** Outcomes, who opened a socket, and what it received: the same for all backends. */
const COMMON = ["set_state", "destroy_sock", "receive_reset", "note_established"];

/** Only some kernels challenge half-open connections, by a function of its own. */
const REQUEST_FUNCTION = "tcp_reqsk_send_challenge_ack";

/** Answers SYNs that fail PAWS before 6.4. A compiler may make it a part of its caller. */
const DUPACK_FUNCTION = "tcp_send_dupack";

const { columns, enums } = RECORDS.challenge_ack;

const challengeAckRecord = recordType("challenge_ack", {
  body,
  counters: [
    {
      name: "tuplewatch_challenge_ack_events_total",
      help: "Segments to be answered with a challenge ACK, by cause and by whether it was sent.",
      labels: {
        trigger: enumLabel(columns.trigger, enums.trigger),
        sent: enumLabel(columns.sent, enums.sent),
      },
    },
  ],
});

/**
 * One event per segment that a connection answers, or would answer, with a challenge ACK, and one
 * for what became of the connection.
 */
export const challengeAck: Probe = {
  name: "challenge_ack",
  signal: {
    moment: "a segment is answered with an RFC 5961 challenge ACK",
    explains: "a second flow on an established 4-tuple, behind NAT or a load balancer",
  },
  backends: [
    {
      name: "fentry",
      sinceKernel: "6.1",
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
      calledPrograms: ["expire"],
      optional: {
        fentry_request_challenge: REQUEST_FUNCTION,
        fexit_request_challenge: REQUEST_FUNCTION,
        fentry_dupack: DUPACK_FUNCTION,
      },
    },
    {
      name: "kprobe",
      sinceKernel: "5.10",
      programs: COMMON,
      calledPrograms: ["expire"],
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
      globals: { config_by_address: 1 },
    },
    {
      name: "drop_tracepoint",
      sinceKernel: "6.11",
      blindTo: "connections that are half open",
      programs: [...COMMON, "drop_tracepoint"],
      calledPrograms: ["expire"],
    },
  ],
  recordTypes: [challengeAckRecord, challengeOutcome],
  globals: () => ({ config_jiffy_ns: Number(clockResolutionNs(Posix.CLOCK_MONOTONIC_COARSE)) }),
  whileAttached: pollSurvivors,
};

function body(event: DecodedEvent<"challenge_ack">): EventBody<"challenge_ack"> {
  return {
    ...formatCookie(event.socketCookie),
    local: formatEndpoint(event.local),
    peer: formatEndpoint(event.peer),
    tcp_state: TCP_STATE_NAMES[event.tcpState] ?? String(event.tcpState),
    trigger: enumName(enums.trigger, event.trigger),
    ...sent(enumName(enums.sent, event.sent)),
    ...(event.hasSegment !== 0 && { segment: { seq: event.seq, ack: event.ack } }),
    rcv_nxt: event.rcvNxt,
    snd_una: event.sndUna,
    ...(event.hasIdle !== 0 && { idle_ns: Number(event.idleNs) }),
  };
}

/** Nothing is said where the backend cannot know. */
function sent(
  name: (typeof enums.sent)[keyof typeof enums.sent],
): Pick<EventBody<"challenge_ack">, "sent" | "limiter"> {
  if (name === "socket_limited") return { sent: false, limiter: "socket" };
  if (name === "netns_limited") return { sent: false, limiter: "netns" };
  return name === "yes" ? { sent: true } : {};
}
