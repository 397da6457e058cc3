const QUOTED_CHARACTERS = 80;
const MESSAGE_CHARACTERS = 500;

/**
 * What a terminal or a page does not show as it is: control characters, ends of lines, what turns
 * the direction of the text around it (UAX #9), what has no width, halves of surrogate pairs.
 */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

const REPLACEMENT = "\ufffd";

export function hasHidden(text: string): boolean {
  return text.search(HIDDEN) !== -1;
}

/** A name as it is, if nothing is odd about it; else as `quote` gives it. */
export function quoteIfOdd(name: string): string {
  return /^[\w.-]{1,80}$/.test(name) ? name : quote(name);
}

/** Somebody else's message, which may repeat what was read, as one line for a terminal. */
export function oneLine(message: string): string {
  return printable(message).slice(0, MESSAGE_CHARACTERS);
}

/** The value in quotes for a message: what is hidden is escaped, long ones are cut. */
export function quote(text: string): string {
  const cut = text.length > QUOTED_CHARACTERS ? `${text.slice(0, QUOTED_CHARACTERS)}...` : text;
  return JSON.stringify(cut).replace(HIDDEN, escaped);
}

function escaped(character: string): string {
  return Array.from({ length: character.length }, (_, at) => {
    const digits = character.charCodeAt(at).toString(16).padStart(4, "0");
    return `\\u${digits}`;
  }).join("");
}

/** Texts come from other people's processes: none may move a cursor or stand for another. */
export function printable(text: string): string {
  return text.replace(HIDDEN, REPLACEMENT);
}

/** As `printable`, of several lines, perhaps with tabs. */
export function printableLines(text: string): string {
  return text.replace(HIDDEN, (found) => (found === "\n" || found === "\t" ? found : REPLACEMENT));
}
