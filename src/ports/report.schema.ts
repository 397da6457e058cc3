import { Type } from "typebox";
import { count, type Shape, text } from "../events/fields.schema.ts";
import { destination, namespaceFields, portHolder, portRangeFields } from "./ports.schema.ts";

const namespacePorts = Type.Object(
  {
    ...namespaceFields,
    range: Type.Object(portRangeFields),
    in_use: Type.Object({
      tcp: count("Distinct local ports that TCP sockets hold."),
      udp: count("Distinct local ports that UDP sockets hold."),
    }),
    destinations: Type.Array(destination, { description: "Most ports first, at most 20." }),
    holders: Type.Array(portHolder, { description: "Most ports first, at most 100." }),
  },
  { title: "NamespacePorts" },
);

const unreadable = Type.Object(
  { ...namespaceFields, reason: text("What was refused, and why.") },
  { title: "UnreadableNamespace" },
);

/** Body of /ports. */
export const portReportBody = Type.Object(
  {
    network_namespaces: Type.Array(namespacePorts, { description: "The busiest first." }),
    left_out: count("Namespaces beyond the 16 busiest."),
    unreadable: Type.Array(unreadable, {
      description: "Namespaces that could not be looked into, at most 100.",
    }),
  },
  { title: "PortReport" },
);

export type PortReport = Shape<typeof portReportBody>;
export type NamespacePorts = Shape<typeof namespacePorts>;
export type UnreadableNamespace = Shape<typeof unreadable>;
