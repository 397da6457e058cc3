import { printable, printableLines } from "../util/text.ts";

/** The element of index.html that has this id. */
export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`index.html has no element with the id ${id}`);
  return found;
}

type Attributes = Readonly<Record<string, string>>;

/**
 * A new element. Strings become text nodes and never markup: what events say was chosen by
 * whoever runs a process on that machine.
 */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  const shown = tag === "pre" ? printableLines : printable;
  for (const child of children) made.append(typeof child === "string" ? shown(child) : child);
  return made;
}

/** Sets text only where it differs, so that a selection in it survives. */
export function setText(target: HTMLElement, text: string): void {
  const shown = printable(text);
  if (target.textContent !== shown) target.textContent = shown;
}

/** Local time of day, in milliseconds, of a time in RFC 3339. */
export function timeElement(rfc3339: string): HTMLTimeElement {
  const date = new Date(rfc3339);
  const isKnown = !Number.isNaN(date.getTime());
  const clock = isKnown ? date.toLocaleTimeString("en-GB") : rfc3339;
  const ms = isKnown ? `.${String(date.getMilliseconds()).padStart(3, "0")}` : "";
  return element("time", { datetime: rfc3339, title: rfc3339 }, `${clock}${ms}`);
}
