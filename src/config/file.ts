import { readFileSync, statSync } from "node:fs";
import { isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from "yaml";
import { reasonOf } from "../errno.ts";
import { suggestion } from "./near.ts";
import { fileKey, OPTION_NAMES, type OptionName } from "./options.ts";
import { oneLine, type Setting, type Source, shownName } from "./setting.ts";

/** A settings file is a few lines; anything larger is the wrong file. */
const MAX_FILE_BYTES = 64 * 1024;
/** More mistakes than anybody reads at once. */
const MAX_PROBLEMS = 20;

/** Settings in a YAML file of `key: value` lines. Never throws: what is wrong is in `problems`. */
export function readSettingsFile(path: string): Source<OptionName> {
  try {
    const status = statSync(path);
    if (status.isDirectory()) {
      return failed(`${path}: cannot read the configuration file: it is a directory (EISDIR)`);
    }
    if (status.size > MAX_FILE_BYTES) {
      return failed(`${path}: ${status.size} bytes; expected at most ${MAX_FILE_BYTES}`);
    }
    return parseSettings(path, readFileSync(path, "utf8"));
  } catch (error) {
    return failed(`${path}: cannot read the configuration file: ${reasonOf(error)}`);
  }
}

/** `path` is for messages only. */
export function parseSettings(path: string, text: string): Source<OptionName> {
  const lines = new LineCounter();
  // Its own search for keys that are there twice compares each with each.
  const options = { lineCounter: lines, prettyErrors: false, uniqueKeys: false };
  const document = parseDocument(text, options);
  const lineOf = (offset: number) => `${path}:${lines.linePos(offset).line}`;
  if (document.errors.length > 0) {
    const problems = document.errors
      .slice(0, MAX_PROBLEMS)
      .map((error) => `${lineOf(error.pos[0])}: ${oneLine(error.message)}`);
    return { settings: new Map(), problems };
  }
  const root = document.contents;
  if (root === null || (isScalar(root) && root.value === null)) {
    return { settings: new Map(), problems: [] };
  }
  if (!isMap(root)) {
    return failed(`${lineOf(root.range?.[0] ?? 0)}: expected "key: value" lines`);
  }
  return readPairs(root.items as Pair<Node, Node | null>[], lineOf);
}

function readPairs(
  pairs: readonly Pair<Node, Node | null>[],
  lineOf: (offset: number) => string,
): Source<OptionName> {
  const names = new Map(OPTION_NAMES.map((name) => [fileKey(name), name]));
  const settings = new Map<OptionName, Setting>();
  const problems: string[] = [];
  const seen = new Set<string>();
  for (const { key, value } of pairs) {
    if (problems.length === MAX_PROBLEMS) break;
    const keyText = isScalar(key) ? String(key.value) : String(key);
    const where = `${lineOf(key.range?.[0] ?? 0)}: ${shownName(keyText)}`;
    const name = names.get(keyText);
    const text = valueText(value);
    if (seen.has(keyText)) {
      problems.push(`${where}: the key is there twice`);
    } else if (name === undefined) {
      problems.push(`${where}: unknown key${suggestion(keyText, [...names.keys()])}`);
    } else if (text === undefined) {
      problems.push(`${where}: expected a single value or a list of names`);
    } else {
      settings.set(name, { text, where });
    }
    seen.add(keyText);
  }
  return { settings, problems };
}

/** The value as written, so that file, flag and variable go through the same parser. */
function valueText(node: Node | null): string | undefined {
  if (!isSeq(node)) {
    return scalarText(node);
  }
  const parts = node.items.map(scalarText);
  return parts.includes(undefined) ? undefined : parts.join(",");
}

function scalarText(node: unknown): string | undefined {
  if (!isScalar(node) || node.value === null) {
    return undefined;
  }
  return typeof node.value === "number" ? (node.source ?? String(node.value)) : String(node.value);
}

function failed(problem: string): Source<OptionName> {
  return { settings: new Map(), problems: [problem] };
}
