import { wholeNumber } from "../../config/values.ts";
import type { TuplewatchEvent } from "../../events/event.ts";
import { addressTest } from "./addresses.ts";
import { endpointsOf, type Fields, objectsAt } from "./event-walk.ts";

export type Predicate = (event: TuplewatchEvent) => boolean;

interface FilterSpec {
  /** Ends the sentence "expected ...". */
  readonly expected: string;
  /** Undefined when `text` is not such a value. */
  parse(text: string): Predicate | undefined;
}

const MAX_PORT = 65535;
const MAX_PID = 2 ** 22; /* PID_MAX_LIMIT, include/linux/threads.h */

/** The query keys of /events that select events. A new filter is a new row. */
export const FILTERS = {
  type: name((event) => [event.type]),
  probe: name((event) => [event.probe]),
  kind: name((event) => [event.kind]),
  process: text((event) => objectsAt(event, "process").map(({ comm }) => comm)),
  pid: number(0, MAX_PID, (event) => objectsAt(event, "process").map(({ pid }) => pid)),
  port: number(0, MAX_PORT, (event) => endpointsOf(event).map(({ port }) => port)),
  address: {
    expected: "an IPv4 or IPv6 address, or a prefix such as 10.0.0.0/8",
    parse: (value) => {
      const matches = addressTest(value);
      const addressMatches = (end: Fields) => matches?.(String(end.address)) ?? false;
      return matches && ((event) => endpointsOf(event).some(addressMatches));
    },
  },
  netns: text((event) =>
    objectsAt(event, "netns").flatMap(({ cookie, inum, name }) => [cookie, inum, name]),
  ),
  container: {
    expected: "a container's id, or its first digits: 4 to 64 of 0-9 and a-f",
    parse: (id) =>
      /^[0-9a-f]{4,64}$/.test(id)
        ? (event) =>
            objectsAt(event, "cgroup").some(
              ({ container }) => typeof container === "string" && container.startsWith(id),
            )
        : undefined,
  },
  pod: text((event) => objectsAt(event, "cgroup").map(({ pod }) => pod)),
  unit: text((event) => objectsAt(event, "cgroup").map(({ unit }) => unit)),
  result: text((event) => [event.result]),
  trigger: name((event) => [event.trigger]),
  cause: name((event) => [event.cause]),
} as const satisfies Record<string, FilterSpec>;

export type FilterName = keyof typeof FILTERS;

export const FILTER_NAMES = Object.keys(FILTERS) as FilterName[];

/**
 * One predicate from those of each key: values of one key are alternatives, different keys must
 * all hold. Notices of loss pass, whatever was asked for.
 */
export function combine(groups: readonly (readonly Predicate[])[]): Predicate | undefined {
  if (groups.length === 0) {
    return undefined;
  }
  return (event) =>
    event.seq === undefined || groups.every((group) => group.some((holds) => holds(event)));
}

type Values = (event: TuplewatchEvent) => readonly unknown[];

function name(values: Values): FilterSpec {
  return {
    expected: "a lower-case name of letters, digits and _",
    parse: (wanted) => (/^[a-z0-9_]{1,64}$/.test(wanted) ? equals(wanted, values) : undefined),
  };
}

function text(values: Values): FilterSpec {
  return {
    expected: "1 to 255 characters",
    parse: (wanted) =>
      wanted.length > 0 && wanted.length <= 255 ? equals(wanted, values) : undefined,
  };
}

function number(min: number, max: number, values: Values): FilterSpec {
  return {
    expected: `a whole number from ${min} to ${max}`,
    parse: (digits) => {
      const wanted = wholeNumber(digits, min, max);
      return wanted === undefined ? undefined : equals(String(wanted), values);
    },
  };
}

function equals(wanted: string, values: Values): Predicate {
  return (event) => values(event).some((value) => value !== undefined && String(value) === wanted);
}
