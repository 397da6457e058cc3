import type { Command } from "commander";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** A script that completes commands and flags, made from the commands themselves. */
export function completionScript(program: Command, shell: Shell): string {
  const flags = new Map(program.commands.map((command) => [command.name(), flagsOf(command)]));
  if (shell === "fish") return fish(flags);
  return shell === "bash"
    ? bash(flags)
    : `autoload -U +X bashcompinit && bashcompinit\n${bash(flags)}`;
}

function flagsOf(command: Command): string[] {
  const own = command.options.flatMap(({ long, hidden }) => (long && !hidden ? [long] : []));
  return [...own, "--help"];
}

/** bash(1), "Programmable Completion"; zsh understands it too. */
function bash(flags: ReadonlyMap<string, readonly string[]>): string {
  const cases = [...flags].map(([name, known]) => `    ${name}) words="${known.join(" ")}" ;;`);
  return `_tuplewatch() {
  local word="\${COMP_WORDS[COMP_CWORD]}" words
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
    *) words="${[...flags.keys()].join(" ")} --help --version" ;;
  esac
  [ "$COMP_CWORD" -eq 1 ] && words="${[...flags.keys()].join(" ")} --help --version"
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _tuplewatch tuplewatch
`;
}

function fish(flags: ReadonlyMap<string, readonly string[]>): string {
  const lines = [
    `complete -c tuplewatch -n __fish_use_subcommand -a '${[...flags.keys()].join(" ")}'`,
  ];
  for (const [name, known] of flags) {
    const seen = `__fish_seen_subcommand_from ${name}`;
    for (const flag of known) {
      lines.push(`complete -c tuplewatch -n '${seen}' -l ${flag.replace(/^--/, "")}`);
    }
  }
  return `${lines.join("\n")}\n`;
}
