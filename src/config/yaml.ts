import { readFileSync, statSync } from "node:fs";
import { isMap, isScalar, LineCounter, type Node, type Pair, parseDocument } from "yaml";
import { reasonOf } from "../errno.ts";
import { oneLine, shownName } from "./setting.ts";

/** Files of settings are a few lines; anything larger is the wrong file. */
const MAX_FILE_BYTES = 64 * 1024;

/** More mistakes than anybody reads at once. */
export const MAX_PROBLEMS = 20;

/** One `key: value` of a mapping. */
export interface YamlEntry {
  readonly key: string;
  /** `FILE:LINE: KEY`, with the keys around it: `web.yaml:3: tls_server_config.cert_file`. */
  readonly where: string;
  readonly value: Node | null;
  /** What is in the value; undefined if it is no mapping. */
  entries(): readonly YamlEntry[] | undefined;
}

export interface YamlFile {
  readonly entries: readonly YamlEntry[];
  /** Why it cannot be read, one line each. */
  readonly problems: readonly string[];
}

export interface YamlOptions {
  /** The file holds secrets: messages of the parser, which may quote it, are not passed on. */
  readonly secret?: boolean;
}

/** Reads a file whose top level is a mapping. Never throws. `what` names the file in messages. */
export function readYamlFile(path: string, what: string, options: YamlOptions = {}): YamlFile {
  try {
    const status = statSync(path);
    if (status.isDirectory()) {
      return failed(`${path}: cannot read the ${what}: it is a directory (EISDIR)`);
    }
    if (status.size > MAX_FILE_BYTES) {
      return failed(`${path}: ${status.size} bytes; expected at most ${MAX_FILE_BYTES}`);
    }
    return parseYaml(path, readFileSync(path, "utf8"), options);
  } catch (error) {
    return failed(`${path}: cannot read the ${what}: ${reasonOf(error)}`);
  }
}

/** `path` is for messages only. */
export function parseYaml(path: string, text: string, { secret }: YamlOptions = {}): YamlFile {
  const lines = new LineCounter();
  // Its own search for keys that are there twice compares each with each.
  const options = { lineCounter: lines, prettyErrors: false, uniqueKeys: false };
  const document = parseDocument(text, options);
  const lineOf = (offset: number) => `${path}:${lines.linePos(offset).line}`;
  if (document.errors.length > 0) {
    const problems = document.errors.slice(0, MAX_PROBLEMS).map(({ pos, code, message }) => {
      return `${lineOf(pos[0])}: ${secret ? `not valid YAML (${code})` : oneLine(message)}`;
    });
    return { entries: [], problems };
  }
  const root = document.contents;
  if (root === null || (isScalar(root) && root.value === null)) {
    return { entries: [], problems: [] };
  }
  const entries = entriesOf(root, lineOf, "");
  return entries === undefined
    ? failed(`${lineOf(root.range?.[0] ?? 0)}: expected "key: value" lines`)
    : { entries, problems: [] };
}

/** The value as written, so that all sources go through the same parser; undefined for none. */
export function scalarText(node: unknown): string | undefined {
  if (!isScalar(node) || node.value === null) {
    return undefined;
  }
  return typeof node.value === "number" ? (node.source ?? String(node.value)) : String(node.value);
}

/** The entries whose keys are there once; of the others all but the first go to `problems`. */
export function withoutTwins(entries: readonly YamlEntry[], problems: string[]): YamlEntry[] {
  const seen = new Set<string>();
  return entries.filter(({ key, where }) => {
    const isTwin = seen.has(key);
    if (isTwin && problems.length < MAX_PROBLEMS) problems.push(`${where}: the key is there twice`);
    seen.add(key);
    return !isTwin;
  });
}

function entriesOf(
  node: Node | null,
  lineOf: (offset: number) => string,
  parents: string,
): YamlEntry[] | undefined {
  if (!isMap(node)) return undefined;
  return (node.items as Pair<Node, Node | null>[]).map(({ key, value }) => {
    const name = isScalar(key) ? String(key.value) : String(key);
    const where = `${lineOf(key.range?.[0] ?? 0)}: ${parents}${shownName(name)}`;
    return {
      key: name,
      where,
      value,
      entries: () => entriesOf(value, lineOf, `${parents}${shownName(name)}.`),
    };
  });
}

function failed(problem: string): YamlFile {
  return { entries: [], problems: [problem] };
}
