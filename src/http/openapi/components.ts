type Json = Readonly<Record<string, unknown>>;

/**
 * The named parts of a set of schemas, so that a document has each once: a schema with a `title`
 * becomes a component, and a reference where it was.
 */
export class Components {
  readonly #schemas = new Map<string, string>();

  /** @throws Error if two different schemas have one title */
  add(schema: object): object {
    const { title, description, ...rest } = this.#visit(schema) as Json;
    if (typeof title !== "string") {
      return { ...(description !== undefined && { description }), ...rest };
    }
    const text = JSON.stringify(rest);
    const known = this.#schemas.get(title);
    if (known !== undefined && JSON.stringify(without(known)) !== text) {
      throw new Error(`two schemas are called ${title}`);
    }
    if (known === undefined) this.#schemas.set(title, JSON.stringify({ description, ...rest }));
    const isTold = known === undefined || description === descriptionOf(known);
    const reference = { $ref: `#/components/schemas/${title}` };
    return isTold || description === undefined ? reference : { ...reference, description };
  }

  toJson(): Record<string, unknown> {
    const sorted = [...this.#schemas].sort(([one], [other]) => (one < other ? -1 : 1));
    return Object.fromEntries(sorted.map(([title, text]) => [title, JSON.parse(text)]));
  }

  #visit(schema: object): object {
    const found: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(schema)) {
      found[key] =
        key === "properties" || key === "patternProperties"
          ? Object.fromEntries(
              Object.entries(value).map(([name, part]) => [name, this.#part(part)]),
            )
          : Array.isArray(value)
            ? value.map((part) => this.#part(part))
            : this.#part(value);
    }
    return found;
  }

  #part(value: unknown): unknown {
    return typeof value === "object" && value !== null ? this.add(value) : value;
  }
}

function without(text: string): object {
  const { description: _, ...rest } = JSON.parse(text) as Json;
  return rest;
}

function descriptionOf(text: string): unknown {
  return (JSON.parse(text) as Json).description;
}
