import assert from "node:assert/strict";
import fc from "fast-check";
import { parseSettings } from "../../src/config/file.ts";
import { loadConfig } from "../../src/config/load.ts";
import { fileKey, OPTION_NAMES, OPTIONS, variableName } from "../../src/config/options.ts";
import { UsageError } from "../../src/config/usage-error.ts";
import { type FuzzTarget, INHERITED, textOf, unless } from "./target.ts";

const KEYS = [...OPTION_NAMES.map(fileKey), ...INHERITED];
const VALUES = [
  ...OPTION_NAMES.map((name) => OPTIONS[name].fallback),
  ...["[", "]", "{", "}", ", ", "&a ", "*a", "!!int ", "|\n ", ">-\n  ", "'", '"', "~", "- ", "? "],
  ...["0x10", "1e9", "-0", ".inf", "1_000", "yes", "1KiB", "99999999999999999999GiB"],
  ...["[::1]:1", "unix:/", "\t", "\u0000", "\ufeff", "%YAML 9\n", "---\n", "...\n", "# "],
];

const line = fc
  .tuple(fc.constantFrom(...KEYS), fc.constantFrom(": ", ":", ":\n  ", " "), textOf(VALUES, 4))
  .map((parts) => parts.join(""));

const file = fc.oneof(
  fc.array(line, { maxLength: 8 }).map((lines) => lines.join("\n")),
  textOf([...KEYS, ...VALUES, ": ", "\n"], 30),
);

const variables = fc.dictionary(
  fc.oneof(
    fc.constantFrom(...OPTION_NAMES.map(variableName)),
    textOf(["TUPLEWATCH_", "SERVICE_", "PORT_", "_TCP"], 3),
  ),
  textOf(VALUES, 3),
  { maxKeys: 4 },
);

const MAX_PROBLEMS = 20;
const MAX_CHARACTERS = 1000;

// biome-ignore lint/suspicious/noControlCharactersInRegex: these must not be there
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

function isReadable(problem: string): boolean {
  assert.doesNotMatch(problem, CONTROL);
  assert.ok(problem.length <= MAX_CHARACTERS, `${problem.length} characters`);
  return true;
}

export const settings: FuzzTarget = {
  name: "settings",
  weight: 3,
  create: () =>
    fc.property(file, variables, (text, environment) => {
      const flags = parseSettings("file.yaml", text);
      assert.ok(flags.problems.length <= MAX_PROBLEMS);
      for (const problem of flags.problems) assert.match(problem, /^file\.yaml:\d+: \S/);
      const inputs = { flags, environment: { ...environment, TUPLEWATCH_CONFIG: "" } };
      const config = unless(
        (error) => error instanceof UsageError && error.problems.every(isReadable),
        () => loadConfig(inputs),
      );
      for (const name of config === undefined ? [] : OPTION_NAMES) {
        assert.notEqual(config?.[name], undefined, name);
      }
    }),
};
