import { hasHidden } from "./text.ts";

declare const built: unique symbol;

/**
 * A line for a POSIX shell that runs the words it was made of, whatever is in them. Only
 * `shellCommand` makes one.
 */
export type Command = string & { readonly [built]: "by shellCommand" };

/** What whoever runs the command must know: without a value for it the shell runs nothing. */
export class ShellVariable {
  readonly name: string;

  constructor(name: string) {
    if (!/^[A-Z][A-Z_]*$/.test(name)) throw new RangeError(`name a shell variable: ${name}`);
    this.name = name;
  }
}

export type Word = string | ShellVariable;

/** None of them is a word that the shell keeps for itself, nor an assignment. */
export type Program =
  | "aws"
  | "awk"
  | "conntrack"
  | "head"
  | "ip"
  | "ip6tables"
  | "iptables"
  | "nft"
  | "nsenter"
  | "sort"
  | "ss"
  | "sysctl"
  | "tcpdump"
  | "uniq";

/** A program and its arguments. */
export type Words = readonly [program: Program, ...args: Word[]];

export type Built =
  | { readonly command: Command }
  /** A word that reads as another one than it is, so that nobody could check the command. */
  | { readonly unprintable: string };

/** One program, or several of which each reads what the one before it writes. */
export function shellCommand(...stages: readonly Words[]): Built {
  for (const word of stages.flat()) {
    if (typeof word === "string" && !isPrintable(word)) return { unprintable: word };
  }
  const line = stages.map((words) => words.map(shellWord).join(" ")).join(" | ");
  return { command: line as Command };
}

/**
 * U+FFFD stands for bytes that are not UTF-8: written out, it names something else. Spaces other
 * than U+0020 look like it, and a browser may copy them as such.
 */
export function isPrintable(word: string): boolean {
  return !hasHidden(word) && !/\ufffd|(?! )\p{Zs}/u.test(word);
}

function shellWord(word: Word): string {
  return typeof word === "string" ? quoted(word) : `"\${${word.name}:?}"`;
}

/** POSIX.1-2017, Shell Command Language, 2.2.2: all between single quotes is as it stands. */
function quoted(word: string): string {
  if (PLAIN.test(word)) return word;
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Not at the beginning: `~` and `=` (zsh) are expanded there, `%` is a job. */
const PLAIN = /^[\w/.:@+,-][\w/.:@+,=%-]*$/;
