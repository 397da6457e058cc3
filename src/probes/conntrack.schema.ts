import { Type } from "typebox";
import { causeNames, natNames, verdictNames } from "./events.gen.ts";
import {
  count,
  endpoint,
  nameOf,
  nanoseconds,
  oneOf,
  owner,
  ownerFields,
  protocol,
  type Shape,
  socketCookie,
  tuple,
} from "./fields.schema.ts";

const nat = nameOf(natNames, "Which address of the flow is translated.");

const zone = Type.Integer({ minimum: 0, maximum: 65535, description: "Conntrack zone." });

const entryFields = { original: tuple, reply: tuple, owner: Type.Optional(owner) };

const entry = Type.Object(entryFields, {
  title: "ConntrackEntry",
  description: "A conntrack entry, and who opened its flow if that is known.",
});

export const conntrackInsertFailedBody = Type.Object({
  protocol,
  ...entryFields,
  nat,
  zone,
  verdict: nameOf(verdictNames, "What became of the packet."),
  cause: nameOf(causeNames, "Why the entry was refused."),
  refusals: Type.Optional(
    count("How often this flow has been refused so far, with this time; of dropped packets only."),
  ),
  winner: Type.Optional({ ...entry, description: "The entry that holds the tuple." }),
});

export const flowRetryBody = Type.Object({
  protocol,
  original: tuple,
  zone,
  result: oneOf(["accepted"], "What became of the retry."),
  delay_ns: nanoseconds("Since the flow's first refusal."),
  refusals: count("How often the flow had been refused."),
});

export const staleFlowReuseBody = Type.Object({
  socket_cookie: Type.Optional(socketCookie),
  protocol,
  original: tuple,
  reply: tuple,
  nat,
  zone,
  age_ns: nanoseconds("Since the entry was made."),
  old_owner: Type.Object(
    { socket_cookie: Type.Optional(socketCookie), ...ownerFields },
    { description: "Who made the entry." },
  ),
  redirected: Type.Boolean({
    description: "Whether the datagrams go elsewhere than they are addressed to.",
  }),
  actual_destination: endpoint,
});

export type ConntrackEntry = Shape<typeof entry>;
export type ConntrackInsertFailedBody = Shape<typeof conntrackInsertFailedBody>;
export type FlowRetryBody = Shape<typeof flowRetryBody>;
export type StaleFlowReuseBody = Shape<typeof staleFlowReuseBody>;
