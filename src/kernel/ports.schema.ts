import { Type } from "typebox";
import { count, endpoint, netns, oneOf, port, type Shape } from "../probes/fields.schema.ts";

export const portRangeFields = {
  low: { ...port, description: "First port of ip_local_port_range." },
  high: { ...port, description: "Last port of ip_local_port_range." },
  available: count("Ports of the range that are not reserved."),
};

/** Of a namespace that was found, not one of an event: its inode number is known. */
export const namespaceFields = {
  cookie: netns.properties.cookie,
  inum: Type.Integer({ minimum: 0, description: "Inode number of the network namespace." }),
  name: netns.properties.name,
};

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

export type Destination = Shape<typeof destination>;
