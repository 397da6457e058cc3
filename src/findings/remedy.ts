import { type Command, shellCommand, type Words } from "../util/shell.ts";
import { quote } from "../util/text.ts";
import type { Remedy } from "./finding.ts";
import { entryOf, type NetnsPlace } from "./place.ts";

/** One program, or several of which each reads what the one before it writes. */
type Line = Words | readonly [Words, ...Words[]];

/** Without a command. `snippets`: lines for a program or a file. */
export function advice(summary: string, snippets: readonly string[] = []): Remedy {
  return { summary, commands: [], ...(snippets.length > 0 && { snippets }) };
}

/** On this machine, whatever the network namespace. */
export function remedyHere(summary: string, ...lines: readonly Line[]): Remedy {
  const commands: Command[] = [];
  for (const line of lines) {
    const built = shellCommand(...stagesOf(line));
    if ("unprintable" in built) {
      return withoutCommand(summary, `${quote(built.unprintable)} reads as another word`);
    }
    commands.push(built.command);
  }
  return { summary, commands };
}

/** On another machine than this. */
export function remedyElsewhere(where: string, summary: string, ...lines: readonly Line[]): Remedy {
  return { ...remedyHere(summary, ...lines), where };
}

/** In the network namespace that the commands are for. */
export function remedyIn(place: NetnsPlace, summary: string, ...lines: readonly Line[]): Remedy {
  const entry = entryOf(place);
  if ("obstacle" in entry) return withoutCommand(summary, entry.obstacle);
  return remedyHere(summary, ...lines.map((line) => inside(entry.words, line)));
}

/** Half of the commands would be worse than none. */
function withoutCommand(summary: string, reason: string): Remedy {
  return advice(`${summary} (Without a command: ${reason}.)`);
}

/** Of several programs only the first looks at the network. */
function inside(words: Words | readonly [], line: Line): Line {
  const [first, ...others] = stagesOf(line);
  return [[...words, ...first], ...others];
}

function stagesOf(line: Line): readonly [Words, ...Words[]] {
  return isPipeline(line) ? line : [line];
}

function isPipeline(line: Line): line is readonly [Words, ...Words[]] {
  return typeof line[0] !== "string";
}
