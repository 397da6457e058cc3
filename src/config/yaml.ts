import { readFileSync, statSync } from "node:fs";
import type { Node, Pair } from "yaml";
import { reasonOf } from "../util/errno.ts";
import { oneLine, quoteIfOdd } from "../util/text.ts";
import { yaml } from "./yaml-library.ts";

/** Files of settings are a few lines; anything larger is the wrong file. */
const MAX_FILE_BYTES = 64 * 1024;

/** More mistakes than anybody reads at once. */
export const MAX_PROBLEMS = 20;

/** One `key: value` of a mapping. */
export interface YamlEntry {
  readonly key: string;
  /** `FILE:LINE: KEY`, with the keys around it: `a.yaml:3: outer.inner`; `FILE:LINE:COLUMN` of a secret. */
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
  /**
   * The file holds secrets, perhaps where a key or a path should be: nothing of it may be in
   * messages, which name the place instead. Those of the parser may quote it and are not passed on.
   */
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
  const lines = new (yaml().LineCounter)();
  // Its own search for keys that are there twice compares each with each.
  const options = { lineCounter: lines, prettyErrors: false, uniqueKeys: false };
  const document = yaml().parseDocument(text, options);
  const placeOf = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return secret ? `${path}:${line}:${col}` : `${path}:${line}`;
  };
  const naming = { placeOf, showsKeys: !secret };
  if (document.errors.length > 0) {
    const problems = document.errors.slice(0, MAX_PROBLEMS).map(({ pos, code, message }) => {
      return `${placeOf(pos[0])}: ${secret ? `not valid YAML (${code})` : oneLine(message)}`;
    });
    return { entries: [], problems };
  }
  const root = document.contents;
  if (root === null || (yaml().isScalar(root) && root.value === null)) {
    return { entries: [], problems: [] };
  }
  const entries = entriesOf(root, naming, "");
  return entries === undefined
    ? failed(`${placeOf(root.range?.[0] ?? 0)}: expected "key: value" lines`)
    : { entries, problems: [] };
}

/** The value as written, so that all sources go through the same parser; undefined for none. */
export function scalarText(node: unknown): string | undefined {
  if (!yaml().isScalar(node) || node.value === null) {
    return undefined;
  }
  return typeof node.value === "number" ? (node.source ?? String(node.value)) : String(node.value);
}

/** The entries whose keys are there once; of the others all but the first go to `problems`. */
export function withoutDuplicateKeys(
  entries: readonly YamlEntry[],
  problems: string[],
): YamlEntry[] {
  const seen = new Set<string>();
  return entries.filter(({ key, where }) => {
    const isTwin = seen.has(key);
    if (isTwin && problems.length < MAX_PROBLEMS) problems.push(`${where}: the key is there twice`);
    seen.add(key);
    return !isTwin;
  });
}

interface Naming {
  readonly placeOf: (offset: number) => string;
  readonly showsKeys: boolean;
}

function entriesOf(node: Node | null, naming: Naming, parents: string): YamlEntry[] | undefined {
  if (!yaml().isMap(node)) return undefined;
  return (node.items as Pair<Node, Node | null>[]).map(({ key, value }) => {
    const name = yaml().isScalar(key) ? String(key.value) : String(key);
    const place = naming.placeOf(key.range?.[0] ?? 0);
    return {
      key: name,
      where: naming.showsKeys ? `${place}: ${parents}${quoteIfOdd(name)}` : place,
      value,
      entries: () => entriesOf(value, naming, `${parents}${quoteIfOdd(name)}.`),
    };
  });
}

function failed(problem: string): YamlFile {
  return { entries: [], problems: [problem] };
}
