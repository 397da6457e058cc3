import { Type } from "typebox";
import { natNames } from "./events.gen.ts";
import { oneOfNames, owner, type Shape, tuple } from "./fields.schema.ts";

export const nat = oneOfNames(
  natNames,
  "Which address of the flow is translated: `snat` the source, `dnat` the destination.",
);

export const zone = Type.Integer({ minimum: 0, maximum: 65535, description: "Conntrack zone." });

export const entryFields = { original: tuple, reply: tuple, owner: Type.Optional(owner) };

export const entry = Type.Object(entryFields, {
  title: "ConntrackEntry",
  description: "A conntrack entry, and who opened its flow if that is known.",
});

export type ConntrackEntry = Shape<typeof entry>;
