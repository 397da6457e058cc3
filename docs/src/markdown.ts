/** A table; bars and angle brackets in its cells are escaped. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [heads, heads.map(() => "---"), ...rows.map((row) => row.map(cell))];
  return lines.map((line) => `| ${line.join(" | ")} |\n`.replace(/ {2,}\|/g, " |")).join("");
}

function cell(text: string): string {
  return text
    .replaceAll("\n", " ")
    .replaceAll("|", "\\|")
    .replace(/<(?=\w)/g, "\\<");
}

export function code(text: string): string {
  return `\`${text}\``;
}

export function codes(values: Iterable<string>): string {
  return [...values].map(code).join(", ");
}

/** Without the full stop, for cells that hold one sentence. */
export function phrase(text: string): string {
  return text.replace(/\.$/, "");
}

/** A sentence from a phrase. */
export function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
