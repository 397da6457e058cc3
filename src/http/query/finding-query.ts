import { FINDING_KINDS, FINDING_STATES, SEVERITIES } from "../../events/finding-kinds.ts";
import type { FindingJson } from "../../findings/finding.ts";
import { invalidValue, type RawQuery, unknownKey, valuesOf } from "./event-query.ts";

export type FindingRow = Pick<FindingJson, "kind" | "severity" | "state" | "closed_at">;

/** The query keys of /findings, and the values that each may have. */
export const FINDING_QUERY = {
  kind: FINDING_KINDS,
  severity: SEVERITIES,
  state: [...FINDING_STATES, "all"],
} as const satisfies Record<string, readonly string[]>;

const KEYS = Object.keys(FINDING_QUERY) as (keyof typeof FINDING_QUERY)[];

const HOUR_MS = 3_600_000;

/**
 * Which findings a client asked for. The same key again is "or", another key "and". Without `state`
 * those that are active or were closed within the last hour.
 * @throws HttpError with status 400
 */
export function parseFindingQuery(raw: RawQuery, nowMs: number): (row: FindingRow) => boolean {
  for (const key of Object.keys(raw)) {
    if (!KEYS.some((known) => known === key)) throw unknownKey(key, KEYS);
  }
  const wanted = (key: (typeof KEYS)[number]) => {
    const values = valuesOf(raw, key);
    for (const value of values) check(key, value);
    return values;
  };
  const kinds = wanted("kind");
  const severities = wanted("severity");
  const states = wanted("state");
  return (row) =>
    (kinds.length === 0 || kinds.includes(row.kind)) &&
    (severities.length === 0 || severities.includes(row.severity)) &&
    (states.length === 0
      ? isRecent(row, nowMs)
      : states.includes(row.state) || states.includes("all"));
}

function check(key: keyof typeof FINDING_QUERY, value: string): void {
  const known: readonly string[] = FINDING_QUERY[key];
  if (!known.includes(value)) throw invalidValue(key, value, `one of ${known.join(", ")}`);
}

function isRecent({ closed_at: closedAt }: FindingRow, nowMs: number): boolean {
  return closedAt === undefined || nowMs - Date.parse(closedAt) <= HOUR_MS;
}
