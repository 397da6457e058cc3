import { Type } from "typebox";
import { count, type Shape, seconds } from "../events/fields.schema.ts";
import { destination, namespaceFields, portRangeFields, portUse } from "./ports.schema.ts";

const namespace = Type.Object(
  {
    ...namespaceFields,
    local_ports: Type.Object({
      ...portRangeFields,
      tcp: portUse,
      udp: portUse,
      top_destinations: Type.Array(destination, { description: "Most ports first, at most 20." }),
    }),
    conntrack: Type.Optional(
      Type.Object(
        { entries: count("Entries in the table."), limit: count("nf_conntrack_max.") },
        { description: "Absent while conntrack is not loaded." },
      ),
    ),
  },
  { title: "NamespaceStatus" },
);

/** Part of the body of /status. */
export const namespaceStatusFields = {
  namespace_census: Type.Object({
    age_seconds: Type.Union([Type.Null(), seconds("Since the last census; null before it.")]),
    duration_seconds: Type.Union([Type.Null(), seconds("How long the last census took.")]),
    failures: count("Namespaces that could not be looked at."),
    left_out: count("Namespaces beyond the bound of 256."),
  }),
  network_namespaces: Type.Array(namespace, { description: "The daemon's own comes first." }),
};

const namespaceStatus = Type.Object(namespaceStatusFields);

export type NamespaceStatusJson = Shape<typeof namespaceStatus>;
