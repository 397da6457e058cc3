import {
  fileKey,
  flagName,
  OPTION_NAMES,
  OPTIONS,
  type OptionName,
  variableName,
} from "../../src/config/options.ts";
import { code, table } from "./markdown.ts";

export function settingsTable(): string {
  return table(
    ["flag", "variable", "file key", "default", "meaning"],
    OPTION_NAMES.map((name) => {
      const { type, fallback, help } = OPTIONS[name];
      return [
        code(`${flagName(name)} ${type.placeholder}`),
        code(variableName(name)),
        code(fileKey(name)),
        code(fallback),
        `${help}: ${type.expected}`,
      ];
    }),
  );
}

/** What most installations look at first. */
const MOST_USED: readonly OptionName[] = [
  "listen",
  "webConfig",
  "probes",
  "connectEvents",
  "maxEventsPerSecond",
];

export function shortSettingsTable(): string {
  return table(
    ["flag", "default", "meaning"],
    MOST_USED.map((name) => {
      const { type, fallback, help } = OPTIONS[name];
      return [code(`${flagName(name)} ${type.placeholder}`), code(fallback), help];
    }),
  );
}
