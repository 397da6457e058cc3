import { type Command, Option } from "commander";
import { flagName, OPTION_NAMES, OPTIONS, type OptionName } from "../config/options.ts";
import type { Setting, Source } from "../config/setting.ts";
import { suggestion } from "../util/closest-name.ts";
import { quote } from "../util/text.ts";

export interface Flags extends Source<OptionName> {
  readonly configFile?: string;
}

const CONFIG_FLAG = "--config";

/**
 * Adds a flag per setting. Values are optional for the parser only, and unknown flags allowed, so
 * that `readFlags` finds all mistakes and not just the first.
 */
export function addSettingFlags(command: Command): Command {
  command.addOption(
    new Option(`${CONFIG_FLAG} [FILE]`, "YAML file of settings, keys as the flags in snake_case"),
  );
  for (const name of OPTION_NAMES) {
    const { type, fallback, help } = OPTIONS[name];
    const flag = `${flagName(name)} [${type.placeholder}]`;
    const option = new Option(flag, `${help}: ${type.expected} (default: ${fallback})`);
    command.addOption(type.pieces === undefined ? option : option.argParser(addPiece));
  }
  return command
    .allowUnknownOption()
    .allowExcessArguments()
    .configureHelp({ optionTerm: (option) => option.flags.replace(/\[(.+)\]/, "<$1>") });
}

/** `before` is true where the flag had no value, which stays a mistake. */
function addPiece(piece: string, before: string | true | undefined): string | true {
  return before === undefined || before === true ? (before ?? piece) : `${before},${piece}`;
}

export function readFlags(command: Command): Flags {
  const values = command.opts<Record<string, string | true>>();
  const settings = new Map<OptionName, Setting>();
  const problems = strayArguments(command.args);
  for (const name of OPTION_NAMES) {
    const text = values[name];
    const where = flagName(name);
    if (text === true) {
      problems.push(`${where}: needs a value, expected ${OPTIONS[name].type.expected}`);
    } else if (text !== undefined) {
      settings.set(name, { text, where });
    }
  }
  const configFile = values.config;
  if (configFile === true || configFile === "") {
    problems.push(`${CONFIG_FLAG}: needs a value, expected the path of a YAML file`);
  }
  return { settings, problems, ...(typeof configFile === "string" && { configFile }) };
}

/** Problems with what the parser left over. The word after an unknown flag was its value. */
export function strayArguments(
  stray: readonly string[],
  known: readonly string[] = [CONFIG_FLAG, ...OPTION_NAMES.map(flagName)],
): string[] {
  const problems: string[] = [];
  for (const [index, argument] of stray.entries()) {
    if (argument.startsWith("-")) {
      const flag = argument.split("=", 1)[0] ?? argument;
      const near = suggestion(flag.replace(/^-+/, ""), known.map(withoutDashes), withDashes);
      problems.push(`${quote(flag).slice(1, -1)}: unknown flag${near}`);
    } else if (!stray[index - 1]?.startsWith("-")) {
      problems.push(`unexpected argument ${quote(argument)}`);
    }
  }
  return problems;
}

function withoutDashes(flag: string): string {
  return flag.replace(/^--/, "");
}

function withDashes(name: string): string {
  return `--${name}`;
}
