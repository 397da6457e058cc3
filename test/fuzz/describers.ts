import assert from "node:assert/strict";
import fc from "fast-check";
import { findingsAsText } from "../../src/cli/findings.ts";
import { painter } from "../../src/cli/style.ts";
import { lineOf } from "../../src/cli/tail.ts";
import type { TuplewatchEvent } from "../../src/events/event.ts";
import { EVENT_SCHEMAS } from "../../src/events/events.schema.ts";
import { finding } from "../../src/events/finding.schema.ts";
import type { FindingJson } from "../../src/findings/finding.ts";
import { type FuzzTarget, INHERITED } from "./target.ts";
import { instanceOf } from "./values.ts";

const paint = painter(false);

const FIELDS = [
  ...new Set(Object.values(EVENT_SCHEMAS).flatMap(({ properties }) => Object.keys(properties))),
];

const known = fc.oneof(...Object.values(EVENT_SCHEMAS).map((schema) => instanceOf(schema)));

/** What a daemon of another version might send, or something that is none. */
const foreign = fc
  .tuple(
    fc.constantFrom(...Object.keys(EVENT_SCHEMAS), ...INHERITED, "news", "\u001b[2J"),
    fc.dictionary(fc.constantFrom(...FIELDS, ...INHERITED), fc.jsonValue({ maxDepth: 2 }), {
      maxKeys: 8,
    }),
  )
  .map(([type, fields]) => ({ ...fields, type }));

// biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/;

export const describers: FuzzTarget = {
  name: "describers",
  weight: 2,
  create: () =>
    fc.property(fc.oneof(known, foreign), instanceOf(finding), (value, found) => {
      const event = JSON.parse(JSON.stringify(value)) as TuplewatchEvent;
      const line = lineOf(event, paint);
      assert.doesNotMatch(line, CONTROL);
      assert.ok(!line.includes("\n"), "one line");
      assert.doesNotMatch(findingsAsText([found as FindingJson], paint), CONTROL);
    }),
};
