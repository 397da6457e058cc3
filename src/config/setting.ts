/** A value as somebody wrote it, and where: a flag, a variable, or FILE:LINE and key. */
export interface Setting {
  readonly text: string;
  readonly where: string;
}

/** Settings of one source and what was wrong with it. Keys are option names. */
export interface Source<K extends string> {
  readonly settings: ReadonlyMap<K, Setting>;
  readonly problems: readonly string[];
}

const SHOWN_CHARACTERS = 80;
const MESSAGE_CHARACTERS = 500;

/** A name as it is, if nothing is odd about it; else as `shown`. */
export function shownName(name: string): string {
  return /^[\w.-]{1,80}$/.test(name) ? name : shown(name);
}

/** Somebody else's message, which may repeat what was read, as one line for a terminal. */
export function oneLine(message: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is removed
  return message.replace(/[\u0000-\u001f\u007f-\u009f]/g, "\ufffd").slice(0, MESSAGE_CHARACTERS);
}

/** The value in quotes for a message: control characters escaped, long ones cut. */
export function shown(text: string): string {
  const cut = text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}...` : text;
  // JSON leaves DEL and the C1 control characters as they are, and a terminal would act on them.
  return JSON.stringify(cut).replace(/[\u007f-\u009f]/g, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
