import { Type } from "typebox";
import { techniqueNames } from "./events.gen.ts";
import {
  count,
  endpoint,
  localEndpoint,
  nanoseconds,
  oneOf,
  oneOfNames,
  ownerFields,
  protocol,
  socketCookie,
} from "./fields.schema.ts";

const conflict = Type.Object(
  { socket_cookie: socketCookie, local: endpoint, ...ownerFields },
  { description: "UDP only: the socket that had this 4-tuple until now." },
);

/** What an event of the type has beside its head. */
export const connectBody = Type.Object(
  {
    socket_cookie: socketCookie,
    protocol,
    family: oneOf(["ipv4", "ipv6"], "Of the addresses, not of the socket."),
    local: Type.Optional(localEndpoint),
    peer: endpoint,
    result: Type.String({
      pattern: "^(ok|unknown|E[A-Z0-9]+|errno_[0-9]+)$",
      description: "`ok`, the errno's name, `ECANCELED` (closed before an answer), or `unknown`.",
    }),
    duration_ns: nanoseconds(
      "From the call to the result, also where the call did not wait for it.",
    ),
    syn_retransmits: count("SYNs that had to be sent again."),
    technique: oneOfNames(
      techniqueNames,
      "How the local port came about: `plain` (chosen by connect), `bound_port` (fixed), " +
        "`reuseaddr` (fixed, with SO_REUSEADDR or SO_REUSEPORT), `bind_before_connect` (bind() to " +
        "port 0), `bind_address_no_port` (the same with IP_BIND_ADDRESS_NO_PORT).",
    ),
    conflict: Type.Optional(conflict),
  },
  {
    description:
      "A `connect()` of a TCP or UDP socket, and what became of it: sent when the result is known, at " +
      "the latest when the socket is closed.",
  },
);
