import { suggestion } from "../util/closest-name.ts";
import { booleanField, type Field, readFields } from "./fields.ts";
import { wholeNumber } from "./values.ts";
import { readTls, type TlsSettings } from "./web-tls.ts";
import {
  MAX_PROBLEMS,
  parseYaml,
  readYamlFile,
  scalarText,
  withoutDuplicateKeys,
  type YamlEntry,
  type YamlFile,
} from "./yaml.ts";

/**
 * How the HTTP side is protected, in the file format that Prometheus and its exporters share
 * (prometheus/exporter-toolkit, docs/web-configuration.md).
 */
export interface WebConfig {
  readonly tls?: TlsSettings;
  /** bcrypt hashes by user name. */
  readonly users: ReadonlyMap<string, string>;
  /** For all answers. */
  readonly headers: Readonly<Record<string, string>>;
  readonly rateLimit?: { readonly intervalMs: number; readonly burst: number };
}

export interface WebConfigFile {
  readonly config: WebConfig;
  readonly problems: readonly string[];
}

const SECRET = { secret: true } as const;

/** Never throws: what is wrong is in `problems`, by place and without any text of the file. */
export function readWebConfig(path: string): WebConfigFile {
  return webConfigOf(path, readYamlFile(path, "web configuration file", SECRET));
}

/** `path` is for messages and for relative paths in the text. */
export function parseWebConfig(path: string, text: string): WebConfigFile {
  return webConfigOf(path, parseYaml(path, text, SECRET));
}

const SECTIONS = ["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"];

function webConfigOf(path: string, file: YamlFile): WebConfigFile {
  const problems = [...file.problems];
  const sections = new Map<string, YamlEntry>();
  for (const entry of withoutDuplicateKeys(file.entries, problems)) {
    if (SECTIONS.includes(entry.key)) sections.set(entry.key, entry);
    else problems.push(`${entry.where}: unknown key${suggestion(entry.key, SECTIONS)}`);
  }
  const entriesIn = (key: string): readonly YamlEntry[] => {
    const section = sections.get(key);
    const entries = section?.entries();
    if (section !== undefined && entries === undefined && scalarText(section.value) !== undefined) {
      problems.push(`${section.where}: ${key}: expected "key: value" lines`);
    }
    return entries ?? [];
  };
  const tlsSection = entriesIn("tls_server_config");
  const where = sections.get("tls_server_config")?.where ?? path;
  const tls = readTls(path, `${where}: tls_server_config`, tlsSection, problems);
  const users = readUsers(entriesIn("basic_auth_users"), problems);
  const headers = readHeaders(entriesIn("http_server_config"), problems);
  const rateLimit = readRateLimit(entriesIn("rate_limit"), problems);
  const config = { ...(tls && { tls }), users, headers, ...(rateLimit && { rateLimit }) };
  return { config, problems: problems.slice(0, MAX_PROBLEMS) };
}

/** Greater ones take a minute and more for each new password. */
const MAX_BCRYPT_COST = 18;

/** Version, cost, and 22 and 31 characters of salt and hash. */
const BCRYPT = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;

function readUsers(entries: readonly YamlEntry[], problems: string[]): Map<string, string> {
  const users = new Map<string, string>();
  for (const { key, where, value } of withoutDuplicateKeys(entries, problems)) {
    const hash = scalarText(value) ?? "";
    const cost = Number(BCRYPT.exec(hash)?.[1]);
    if (cost >= 4 && cost <= MAX_BCRYPT_COST && !key.includes(":")) users.set(key, hash);
    else if (key.includes(":")) problems.push(`${where}: a user name cannot have a colon`);
    else {
      const range = `of cost 4 to ${MAX_BCRYPT_COST}`;
      problems.push(`${where}: expected a bcrypt hash ${range}, as htpasswd -nBC 10 "" prints it`);
    }
  }
  return users;
}

/** Blank is unset, as in Prometheus; Node throws on other characters. */
const headerText: Field<string> = {
  expected: "a text of printable ASCII characters",
  read: (node) => /^[\t\x20-\x7e]*$/.exec(scalarText(node) ?? "")?.[0],
};

const HEADERS = {
  "Content-Security-Policy": headerText,
  "X-Frame-Options": oneOf("deny", "sameorigin"),
  "X-Content-Type-Options": oneOf("nosniff"),
  "X-XSS-Protection": headerText,
  "Strict-Transport-Security": headerText,
};

const HTTP_KEYS = ["http2", "headers"];

function readHeaders(
  entries: readonly YamlEntry[],
  problems: string[],
): Readonly<Record<string, string>> {
  const plain = entries.filter(({ key }) => key !== "headers");
  // Accepted, since it is in many files; HTTP/1.1 is what there is.
  for (const { key, where } of plain.filter(({ key }) => !HTTP_KEYS.includes(key))) {
    problems.push(`${where}: unknown key${suggestion(key, HTTP_KEYS)}`);
  }
  const known = plain.filter(({ key }) => HTTP_KEYS.includes(key));
  readFields({ http2: booleanField }, known, problems);
  const headers = entries.find(({ key }) => key === "headers");
  const fields = readFields(HEADERS, headers?.entries() ?? [], problems);
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value));
}

function oneOf(...words: readonly string[]): Field<string> {
  return {
    expected: words.length === 1 ? String(words[0]) : `one of ${words.join(", ")}`,
    read: (node) => words.find((word) => word === scalarText(node)),
  };
}

const UNIT_MS = new Map([
  ["ms", 1],
  ["s", 1000],
  ["m", 60_000],
  ["h", 3_600_000],
]);

const RATE_LIMIT = {
  interval: {
    expected: "a duration such as 500ms or 1s",
    read: (node) => {
      const text = scalarText(node) ?? "";
      const [, digits = "", unit = ""] = /^(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h)$/.exec(text) ?? [];
      const factor = UNIT_MS.get(unit);
      return text === "0" ? 0 : factor === undefined ? undefined : Number(digits) * factor;
    },
  } satisfies Field<number>,
  burst: {
    expected: "a whole number from 1",
    read: (node) => wholeNumber(scalarText(node) ?? "", 1, 1_000_000_000),
  } satisfies Field<number>,
};

function readRateLimit(
  entries: readonly YamlEntry[],
  problems: string[],
): WebConfig["rateLimit"] | undefined {
  const { interval = 0, burst } = readFields(RATE_LIMIT, entries, problems);
  if (interval === 0) return undefined;
  const [first] = entries;
  if (burst === undefined && first !== undefined)
    problems.push(`${first.where}: rate_limit: needs burst too`);
  return burst === undefined ? undefined : { intervalMs: interval, burst };
}
