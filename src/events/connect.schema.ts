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
  port,
  protocol,
  socketCookie,
} from "./fields.schema.ts";

const conflict = Type.Object(
  { socket_cookie: socketCookie, local: endpoint, ...ownerFields },
  { description: "UDP only: the socket that had this 4-tuple until now." },
);

const portRange = Type.Object(
  { low: port, high: port },
  {
    description:
      "IP_LOCAL_PORT_RANGE of the socket, where it found no port (`EADDRNOTAVAIL`, `EAGAIN`). A " +
      "bound that is 0 or outside of `ip_local_port_range` has no effect. From Linux 6.3 on.",
  },
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
    port_search_ns: Type.Optional(
      nanoseconds(
        "TCP: until the kernel had looked for a local port, since the call. Absent where the socket " +
          "was bound to one, and by other backends than `fentry`.",
      ),
    ),
    port_range: Type.Optional(portRange),
    conflict: Type.Optional(conflict),
    holder: Type.Optional(
      Type.Object(ownerFields, {
        description:
          "TCP with a fixed local address and port that failed with EADDRNOTAVAIL: who opened the 4-tuple " +
          "that it asked for, by a connection that is still there or in TIME_WAIT.",
      }),
    ),
  },
  {
    description:
      "A `connect()` of a TCP or UDP socket, and what became of it: sent when the result is known, at " +
      "the latest when the socket is closed.",
  },
);
