import { Type } from "typebox";
import {
  count,
  endpoint,
  netns,
  oneOf,
  port,
  type Shape,
  text,
  workloadFields,
} from "../events/fields.schema.ts";

export const portRangeFields = {
  low: { ...port, description: "First port of ip_local_port_range." },
  high: { ...port, description: "Last port of ip_local_port_range." },
  available: count("Ports of the range that are not reserved."),
};

const portRange = Type.Object({
  ...portRangeFields,
  reserved: Type.Optional(text("ip_local_reserved_ports, if there are any.")),
});

/** Of a namespace that was found, not one of an event: its inode number is known. */
export const namespaceFields = {
  cookie: netns.properties.cookie,
  inum: Type.Integer({ minimum: 0, description: "Inode number of the network namespace." }),
  name: netns.properties.name,
};

export const portUse = Type.Object(
  {
    in_use: count("Distinct local ports that a socket holds, whatever its state."),
    bound_without_peer: count("Those of them that a socket without a peer holds."),
    sockets: count("Sockets on these ports."),
  },
  { title: "PortUse" },
);

export const destination = Type.Object(
  {
    protocol: oneOf(["tcp", "udp"], "Of the sockets."),
    peer: endpoint,
    ports: count("Local ports in use towards this peer."),
    states: Type.Record(Type.String(), Type.Integer({ minimum: 0 }), {
      description: "Sockets by the name of their state: `established`, `time_wait` ...",
    }),
  },
  { title: "Destination", description: "How many local ports are in use towards one peer." },
);

export const portHolder = Type.Object(
  {
    process: Type.Optional(
      Type.Object(
        {
          pid: Type.Integer({ minimum: 1 }),
          comm: text("Name of the process."),
          uid: Type.Optional(Type.Integer({ minimum: 0 })),
        },
        {
          description:
            "Who opened them, if that was seen, and may be gone by now; else who has them. Of " +
            "several processes of the program the first.",
        },
      ),
    ),
    processes: Type.Optional(
      Type.Integer({ minimum: 2, description: "Of the program, if more than one." }),
    ),
    cgroup: Type.Optional(
      Type.Object({
        id: Type.Optional(text("Of the cgroup that they were opened in.")),
        path: Type.Optional(text("Below the hierarchy's root.")),
        ...workloadFields,
      }),
    ),
    without: Type.Optional(
      oneOf(
        ["time_wait", "orphaned", "closed", "unknown"],
        "Why they belong to no process now: `orphaned` sockets were closed by theirs and are not " +
          "gone yet, `closed` ones are gone, but were there when a call failed; of `unknown` ones the " +
          "process has ended meanwhile, or the socket is the kernel's own.",
      ),
    ),
    ports: count("Distinct local ports; one that several programs share counts for each."),
  },
  { title: "PortHolder" },
);

/** ip_local_port_range, both ends included. */
export type PortRangeJson = Shape<typeof portRange>;
/** How one protocol uses the local ports of a range, less the reserved ones. */
export type PortUse = Shape<typeof portUse>;
export type Destination = Shape<typeof destination>;
/** A program that holds local ports, or the reason why nobody does. */
export type PortHolder = Shape<typeof portHolder>;
