import { Type } from "typebox";
import { destination, namespaceFields, portRangeFields } from "../kernel/ports.schema.ts";
import { count, oneOf, type Shape, text, workloadFields } from "../probes/fields.schema.ts";

const holder = Type.Object(
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

const namespacePorts = Type.Object(
  {
    ...namespaceFields,
    range: Type.Object(portRangeFields),
    in_use: Type.Object({
      tcp: count("Distinct local ports that TCP sockets hold."),
      udp: count("Distinct local ports that UDP sockets hold."),
    }),
    destinations: Type.Array(destination, { description: "Most ports first, at most 20." }),
    holders: Type.Array(holder, { description: "Most ports first, at most 100." }),
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
