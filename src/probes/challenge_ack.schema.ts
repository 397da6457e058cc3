import { Type } from "typebox";
import { outcomeNames, triggerNames } from "./events.gen.ts";
import {
  count,
  endpoint,
  nameOf,
  nanoseconds,
  oneOf,
  type Shape,
  socketCookie,
  text,
  unsigned32,
} from "./fields.schema.ts";

const connection = {
  socket_cookie: Type.Optional(socketCookie),
  local: endpoint,
  peer: endpoint,
};

export const challengeAckBody = Type.Object({
  ...connection,
  tcp_state: text("Of the connection, in lower case: `established` ..."),
  trigger: nameOf(
    triggerNames,
    "What was wrong with the segment: RFC 5961, or RFC 7323 for `paws`.",
  ),
  sent: Type.Optional(
    Type.Boolean({ description: "Whether the ACK left; absent where the backend cannot know." }),
  ),
  limiter: Type.Optional(
    oneOf(
      ["socket", "netns"],
      "What held the ACK back: tcp_invalid_ratelimit or tcp_challenge_ack_limit.",
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
    nanoseconds("How long the connection had received neither data nor an ACK, within a jiffy."),
  ),
});

export const challengeOutcomeBody = Type.Object({
  ...connection,
  outcome: nameOf(outcomeNames, "What became of the connection within ten seconds."),
  delay_ns: nanoseconds("Since the first challenge."),
  challenges: count("How many challenges there were."),
});

export type ChallengeAckBody = Shape<typeof challengeAckBody>;
export type ChallengeOutcomeBody = Shape<typeof challengeOutcomeBody>;
