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

const portRange = Type.Object(portRangeFields);

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
      Type.Object({ pid: Type.Integer({ minimum: 1 }), comm: text("Name of the process.") }),
    ),
    cgroup: Type.Optional(
      Type.Object({ path: text("Below the hierarchy's root."), ...workloadFields }),
    ),
    without: Type.Optional(
      oneOf(
        ["time_wait", "orphaned", "unknown"],
        "Why there is no process: `orphaned` sockets were closed by theirs, of `unknown` ones it " +
          "has ended meanwhile, or the socket is the kernel's own.",
      ),
    ),
    ports: count("Distinct local ports; one that several processes share counts for each."),
  },
  { title: "PortHolder" },
);

/** ip_local_port_range, both ends included. */
export type PortRangeJson = Shape<typeof portRange>;
/** How one protocol uses the local ports of a range, less the reserved ones. */
export type PortUse = Shape<typeof portUse>;
export type Destination = Shape<typeof destination>;
/** A process that holds local ports, or the reason why nobody does. */
export type PortHolder = Shape<typeof portHolder>;
