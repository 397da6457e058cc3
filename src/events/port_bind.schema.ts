import { Type } from "typebox";
import { bindTechniqueNames } from "./events.gen.ts";
import {
  localEndpoint,
  oneOf,
  oneOfNames,
  owner,
  protocol,
  socketCookie,
} from "./fields.schema.ts";

export const portBindBody = Type.Object(
  {
    socket_cookie: Type.Optional(socketCookie),
    protocol,
    family: oneOf(["ipv4", "ipv6"], "Of the socket."),
    local: Type.Optional({
      ...localEndpoint,
      description: "What was asked for; without a port: any, absent: any address, too.",
    }),
    result: Type.String({
      pattern: "^(ok|unknown|E[A-Z0-9]+|errno_[0-9]+)$",
      description: "Name of the errno.",
    }),
    technique: oneOfNames(
      bindTechniqueNames,
      "How it was asked for: `fixed_port` and `any_port` by bind(), `listen` by listen(), `autobind` " +
        "by the first datagram of a UDP socket without bind().",
    ),
    holder: Type.Optional(owner),
  },
  {
    description:
      "A call that needed a local port found none: every port of the range was taken, or the one that " +
      "it asked for. `holder` has it, where that socket was bound while the daemon ran. What " +
      "connect() finds is in the event `connect`.",
  },
);
