// Prints literals as Biome and Prettier do at 100 columns, so that formatting leaves them alone.

export const LINE_WIDTH = 100;

/** A literal: text as it is, or an object or array of literals. */
export type Literal = string | readonly Literal[] | Entries;

export class Entries {
  readonly list: readonly (readonly [key: string, value: Literal])[];

  constructor(list: readonly (readonly [key: string, value: Literal])[]) {
    this.list = list;
  }
}

function inline(literal: Literal): string {
  if (typeof literal === "string") return literal;
  if (literal instanceof Entries) {
    const entries = literal.list.map(([key, value]) => `${key}: ${inline(value)}`);
    return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
  }
  return `[${literal.map(inline).join(", ")}]`;
}

function mustBreak(literal: Literal): boolean {
  if (typeof literal === "string") return false;
  if (literal instanceof Entries) return literal.list.some(([, value]) => mustBreak(value));
  const objects = literal.filter((item) => item instanceof Entries && item.list.length > 1);
  return (literal.length > 1 && objects.length === literal.length) || literal.some(mustBreak);
}

/**
 * @param indent of the line that the literal begins on, in columns.
 * @param used columns that other text takes on that line, indentation and what follows included.
 */
export function printLiteral(literal: Literal, indent: number, used: number): string {
  const line = inline(literal);
  if (!mustBreak(literal) && used + line.length <= LINE_WIDTH) return line;
  if (typeof literal === "string") return literal;
  const inner = indent + 2;
  const isObject = literal instanceof Entries;
  const items = isObject
    ? literal.list.map(([key, value]) => {
        const width = inner + key.length + ": ,".length;
        return `${key}: ${printLiteral(value, inner, width)}`;
      })
    : literal.map((item) => printLiteral(item, inner, inner + 1));
  const body = items.map((item) => `${" ".repeat(inner)}${item},\n`).join("");
  const [open, close] = isObject ? ["{", "}"] : ["[", "]"];
  return `${open}\n${body}${" ".repeat(indent)}${close}`;
}
