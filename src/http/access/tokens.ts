import { createHash, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { reasonOf } from "../../util/errno.ts";

/** SHA-256 of each token that is accepted. */
export interface Tokens {
  readonly digests: readonly Buffer[];
  /** What is wrong with the file, one line each, without its content. */
  readonly problems: readonly string[];
}

const MAX_TOKENS = 1000;
const MIN_CHARACTERS = 16;

/** The token68 of RFC 9110, section 11.2. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;

/** One token a line, as it is or as `sha256:` and 64 hex digits; `#` starts a comment. */
export function readTokens(path: string): Tokens {
  try {
    return parseTokens(path, readFileSync(path, "utf8"));
  } catch (error) {
    return { digests: [], problems: [`${path}: cannot read the tokens: ${reasonOf(error)}`] };
  }
}

/** `path` is for messages only. */
export function parseTokens(path: string, text: string): Tokens {
  const digests: Buffer[] = [];
  const problems: string[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    const entry = line.trim();
    if (entry === "" || entry.startsWith("#")) continue;
    const digest = digestOf(entry);
    if (digest !== undefined) digests.push(digest);
    else problems.push(`${path}:${index + 1}: expected ${EXPECTED}`);
  }
  if (digests.length === 0 && problems.length === 0) problems.push(`${path}: holds no token`);
  if (digests.length > MAX_TOKENS) problems.push(`${path}: more than ${MAX_TOKENS} tokens`);
  return { digests, problems };
}

const EXPECTED = `a token of ${MIN_CHARACTERS} or more of A-Z a-z 0-9 . _ ~ + / -, or sha256:HEX`;

function digestOf(entry: string): Buffer | undefined {
  if (entry.startsWith("sha256:")) {
    const hex = entry.slice("sha256:".length);
    return /^[0-9a-f]{64}$/i.test(hex) ? Buffer.from(hex, "hex") : undefined;
  }
  return TOKEN.test(entry) && entry.length >= MIN_CHARACTERS ? sha256(entry) : undefined;
}

/** Takes the same time whichever token matches, and if none does. */
export function acceptsToken(digests: readonly Buffer[], token: string): boolean {
  const digest = sha256(token);
  let found = false;
  for (const known of digests) found = timingSafeEqual(known, digest) || found;
  return found;
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
