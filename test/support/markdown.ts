/** Cells of the rows of all tables in a text, without heads and their underlines. */
export function tableRows(text: string): string[][] {
  const lines = text.split("\n");
  const isRule = (line: string | undefined) => /^\|( ?-+ ?\|)+$/.test(line ?? "");
  return lines
    .filter((line, at) => line.startsWith("|") && !isRule(line) && !isRule(lines[at + 1]))
    .map((line) => line.slice(1, line.lastIndexOf("|")).split(/(?<!\\)\|/))
    .map((cells) => cells.map((cell) => cell.trim()));
}

/** What is between backticks. */
export function codesIn(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code);
}

/** The text below each heading of a level, by the heading without backticks. */
export function sections(text: string, level: number): Map<string, string> {
  const mark = "#".repeat(level);
  const ends = new RegExp(`^#{1,${level}} `, "m");
  const found = new Map<string, string>();
  for (const part of `\n${text}`.split(`\n${mark} `).slice(1)) {
    const [heading = "", ...lines] = part.split("\n");
    const [body = ""] = lines.join("\n").split(ends);
    found.set(heading.replaceAll("`", ""), body);
  }
  return found;
}

/** The anchors of a page, as GitHub makes them of its headings. */
export function anchors(text: string): Set<string> {
  const headings = withoutCode(text).matchAll(/^#{1,6} (.+)$/gm);
  return new Set(
    [...headings].map(([, heading = ""]) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}

/** Where a page's relative links lead. */
export function relativeLinks(text: string): string[] {
  const targets = [...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, to = ""]) => to);
  return targets.filter((target) => !/^[a-z]+:/.test(target));
}

function withoutCode(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, "").replace(/^ {4}.*$/gm, "");
}
