import type { Node } from "yaml";
import { suggestion } from "../util/closest-name.ts";
import { fileKey, OPTION_NAMES, type OptionName } from "./options.ts";
import type { Setting, Source } from "./setting.ts";
import {
  MAX_PROBLEMS,
  parseYaml,
  readYamlFile,
  scalarText,
  withoutDuplicateKeys,
  type YamlFile,
} from "./yaml.ts";
import { yaml } from "./yaml-library.ts";

/** Settings in a YAML file of `key: value` lines. Never throws: what is wrong is in `problems`. */
export function readSettingsFile(path: string): Source<OptionName> {
  return settingsOf(readYamlFile(path, "configuration file"));
}

/** `path` is for messages only. */
export function parseSettings(path: string, text: string): Source<OptionName> {
  return settingsOf(parseYaml(path, text));
}

function settingsOf(file: YamlFile): Source<OptionName> {
  const names = new Map(OPTION_NAMES.map((name) => [fileKey(name), name]));
  const settings = new Map<OptionName, Setting>();
  const problems = [...file.problems];
  for (const { key, where, value } of withoutDuplicateKeys(file.entries, problems)) {
    if (problems.length >= MAX_PROBLEMS) break;
    const name = names.get(key);
    const text = valueText(value);
    if (name === undefined) {
      problems.push(`${where}: unknown key${suggestion(key, [...names.keys()])}`);
    } else if (text === undefined) {
      problems.push(`${where}: expected a single value or a list of names`);
    } else {
      settings.set(name, { text, where });
    }
  }
  return { settings, problems };
}

/** The value as written, so that file, flag and variable go through the same parser. */
function valueText(node: Node | null): string | undefined {
  if (!yaml().isSeq(node)) {
    return scalarText(node);
  }
  const parts = node.items.map(scalarText);
  return parts.includes(undefined) ? undefined : parts.join(",");
}
