import { Type } from "typebox";
import { nat, zone } from "./conntrack.schema.ts";
import {
  endpoint,
  nanoseconds,
  ownerFields,
  protocol,
  socketCookie,
  tuple,
} from "./fields.schema.ts";

export const staleFlowReuseBody = Type.Object(
  {
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
      description: "Whether the datagrams go to `actual_destination` instead of their address.",
    }),
    actual_destination: endpoint,
  },
  {
    description:
      "A UDP socket sends on a conntrack entry that was made for another socket, which is closed: " +
      "once for each new socket and entry. NAT rules are not looked at again while the entry lives, " +
      "so that the datagrams go where those of the old socket went. That is " +
      "harmless if its `nat` is `none`.",
  },
);
