import { wholeNumber } from "../../config/values.ts";
import type { TuplewatchEvent } from "../../events/event.ts";
import { closestName } from "../../util/closest-name.ts";
import { quote } from "../../util/text.ts";
import { HttpError } from "../errors.ts";
import { combine, FILTER_NAMES, FILTERS, type FilterName, type Predicate } from "./filters.ts";

/** What a client of /events asked for. */
export interface EventQuery {
  /** Only events with a seq greater than this. */
  readonly since?: number;
  readonly follow: boolean;
  /** Whether connects that went as they should may be among them. */
  readonly ordinary: boolean;
  /** End after this many events. */
  readonly limit?: number;
  readonly matches?: Predicate;
}

/** A query string as the HTTP server parses it. */
export type RawQuery = Readonly<Record<string, string | readonly string[]>>;

const CONTROL_KEYS = ["since", "follow", "limit"] as const;
const KNOWN_KEYS: readonly string[] = [...CONTROL_KEYS, ...FILTER_NAMES];

/** What an ordinary connect has of that which filters look at, whoever makes it, and towards where. */
const ORDINARY: TuplewatchEvent = {
  seq: 0,
  time: "",
  type: "connect",
  probe: "connect",
  result: "ok",
};
const DECIDING = ["type", "probe", "kind", "result", "trigger", "cause"] as const;

/** Bounds the work per event. */
const MAX_FILTER_VALUES = 64;

/**
 * `lastEventId` is the header of an SSE client that reconnects. It wins over `since`, because such
 * a client repeats its first URL.
 * @throws HttpError with status 400
 */
export function parseEventQuery(raw: RawQuery, lastEventId?: string): EventQuery {
  for (const key of Object.keys(raw)) {
    if (!KNOWN_KEYS.includes(key)) {
      throw unknownKey(key, KNOWN_KEYS);
    }
  }
  const since = lastEventId ? sequence("Last-Event-ID", lastEventId) : optional(raw, "since", seq);
  const limit = optional(raw, "limit", (text) => wholeNumberOf("limit", text, 1));
  const matches = combine(filterGroups(raw, FILTER_NAMES));
  return {
    follow: optional(raw, "follow", boolean) ?? true,
    ordinary: combine(filterGroups(raw, DECIDING))?.(ORDINARY) ?? true,
    ...(since !== undefined && { since }),
    ...(limit !== undefined && { limit }),
    ...(matches !== undefined && { matches }),
  };
}

function filterGroups(raw: RawQuery, names: readonly FilterName[]): Predicate[][] {
  const groups: Predicate[][] = [];
  let count = 0;
  for (const key of names) {
    const values = valuesOf(raw, key);
    count += values.length;
    if (count > MAX_FILTER_VALUES) {
      const message = `more than ${MAX_FILTER_VALUES} filter values`;
      throw new HttpError(400, "too_many_filters", message, { limit: MAX_FILTER_VALUES });
    }
    if (values.length > 0) {
      groups.push(values.map((value) => filter(key, value)));
    }
  }
  return groups;
}

function filter(key: FilterName, value: string): Predicate {
  const predicate = FILTERS[key].parse(value);
  if (predicate === undefined) {
    throw invalidValue(key, value, FILTERS[key].expected);
  }
  return predicate;
}

function optional<T>(
  raw: RawQuery,
  key: (typeof CONTROL_KEYS)[number],
  parse: (text: string) => T,
): T | undefined {
  const [value, second] = valuesOf(raw, key);
  if (second !== undefined) {
    throw invalidValue(key, second, "one value, but there are several");
  }
  return value === undefined ? undefined : parse(value);
}

/** The values of a key that may be there more than once. */
export function valuesOf(raw: RawQuery, key: string): readonly string[] {
  const value = raw[key];
  if (value === undefined) {
    return [];
  }
  return typeof value === "string" ? [value] : value;
}

function boolean(text: string): boolean {
  if (text !== "true" && text !== "false") {
    throw invalidValue("follow", text, "true or false");
  }
  return text === "true";
}

function seq(text: string): number {
  return sequence("since", text);
}

function sequence(key: string, text: string): number {
  return wholeNumberOf(key, text, 0);
}

function wholeNumberOf(key: string, text: string, min: number): number {
  const value = wholeNumber(text, min, Number.MAX_SAFE_INTEGER);
  if (value === undefined) {
    throw invalidValue(key, text, `a whole number from ${min}`);
  }
  return value;
}

export function invalidValue(key: string, value: string, expected: string): HttpError {
  const message = `${key}: invalid value ${quote(value)}, expected ${expected}`;
  return new HttpError(400, "invalid_value", message, { key, value: value.slice(0, 80), expected });
}

export function unknownKey(key: string, known: readonly string[]): HttpError {
  const near = closestName(key, known);
  const hint = near === undefined ? "" : `; did you mean ${near}?`;
  return new HttpError(400, "unknown_query_key", `unknown query key ${quote(key)}${hint}`, {
    key: key.slice(0, 80),
    ...(near !== undefined && { did_you_mean: near }),
    known,
  });
}
