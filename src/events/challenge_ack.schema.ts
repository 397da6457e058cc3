import { Type } from "typebox";
import { triggerNames } from "./events.gen.ts";
import {
  connectionFields,
  nanoseconds,
  oneOf,
  oneOfNames,
  text,
  unsigned32,
} from "./fields.schema.ts";

export const challengeAckBody = Type.Object(
  {
    ...connectionFields,
    tcp_state: text("Of the connection, in lower case: `established` ..."),
    trigger: oneOfNames(
      triggerNames,
      "What was wrong with the segment (RFC 5961). `paws` (RFC 7323): before Linux 6.4 a SYN whose " +
        "timestamp is older than the connection's gets a duplicate ACK instead of a challenge ACK " +
        "and ends in the same reset; held back by the limiter it is not seen.",
    ),
    sent: Type.Optional(
      Type.Boolean({ description: "Whether the ACK left; absent where the backend cannot know." }),
    ),
    limiter: Type.Optional(
      oneOf(
        ["socket", "netns"],
        "What held the ACK back: `socket` is tcp_invalid_ratelimit, `netns` " +
          "tcp_challenge_ack_limit.",
      ),
    ),
    segment: Type.Optional(
      Type.Object(
        { seq: unsigned32("Sequence number."), ack: unsigned32("Acknowledgement number.") },
        { description: "The challenged segment; absent where the backend did not see it." },
      ),
    ),
    rcv_nxt: unsigned32("Sequence number that the socket expects next."),
    snd_una: unsigned32("First sequence number that the peer has not acknowledged."),
    idle_ns: Type.Optional(
      nanoseconds(
        "How long the connection had received neither data nor an ACK, to within a tick of the " +
          "kernel's clock (1 to 10 ms): a peer that was just heard is alive, one silent for minutes " +
          "may have restarted. Absent for half-open connections.",
      ),
    ),
  },
  {
    description:
      "A segment that a connection answers with a challenge ACK (RFC 5961), or would if no limiter " +
      "held the ACK back.",
  },
);
