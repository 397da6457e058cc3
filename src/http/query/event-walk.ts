import type { TuplewatchEvent } from "../../events/event.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** Events are flat: owners of winners of findings' parties lie no deeper. */
const MAX_DEPTH = 5;

/**
 * The objects under `key`, anywhere in an event: it may name several parties, such as a refused
 * flow's owner and the winner's.
 */
export function objectsAt(event: TuplewatchEvent, key: string): Fields[] {
  const found: Fields[] = [];
  visit(event, (fields) => {
    const value = fields[key];
    if (isFields(value)) found.push(value);
  });
  return found;
}

/** Each `{ address, port }` of an event: of its sockets and of its conntrack tuples. */
export function endpointsOf(event: TuplewatchEvent): Fields[] {
  const found: Fields[] = [];
  visit(event, (fields) => {
    if (typeof fields.address === "string") found.push(fields);
  });
  return found;
}

function visit(fields: Fields, see: (fields: Fields) => void, depth = 0): void {
  see(fields);
  if (depth === MAX_DEPTH) return;
  for (const key in fields) {
    const value = fields[key];
    if (Array.isArray(value)) {
      for (const item of value) if (isFields(item)) visit(item, see, depth + 1);
    } else if (isFields(value)) {
      visit(value, see, depth + 1);
    }
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
