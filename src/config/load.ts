import { quote } from "../util/text.ts";
import { readEnvironment } from "./environment.ts";
import { readSettingsFile } from "./file.ts";
import {
  CONFIG_FILE_VARIABLE,
  type Config,
  OPTION_NAMES,
  OPTIONS,
  type OptionName,
  type OptionSpec,
} from "./options.ts";
import type { Setting, Source } from "./setting.ts";
import { UsageError } from "./usage-error.ts";

export interface ConfigInputs {
  /** Settings and problems of the command line. */
  readonly flags: Source<OptionName>;
  readonly environment: NodeJS.ProcessEnv;
  /** The file of `--config`; without it, the one of `TUPLEWATCH_CONFIG`, if any. */
  readonly configFile?: string;
}

/**
 * Flags win over variables, variables over the file, the file over defaults.
 *
 * @throws UsageError
 */
export function loadConfig(inputs: ConfigInputs): Config {
  const path = inputs.configFile ?? inputs.environment[CONFIG_FILE_VARIABLE];
  const file = path ? readSettingsFile(path) : undefined;
  const sources = [inputs.flags, readEnvironment(inputs.environment), ...(file ? [file] : [])];
  const problems = sources.flatMap((source) => source.problems);
  const config: Partial<Record<OptionName, unknown>> = {};
  for (const name of OPTION_NAMES) {
    const written = sources.flatMap((source) => source.settings.get(name) ?? []);
    problems.push(...written.flatMap((setting) => check(OPTIONS[name], setting)));
    config[name] = OPTIONS[name].type.parse(written[0]?.text ?? OPTIONS[name].fallback);
  }
  if (problems.length > 0) {
    throw new UsageError(problems);
  }
  return config as Config;
}

/** The settings of a daemon that nobody configured. */
export function defaultConfig(): Config {
  return loadConfig({ flags: { settings: new Map(), problems: [] }, environment: {} });
}

/** A wrong value is an error even where a stronger source covers it; so is each piece of a list. */
function check({ type }: OptionSpec<unknown>, { text, where }: Setting): string[] {
  if (type.parse(text) !== undefined) return [];
  const wrong = (type.pieces?.(text) ?? []).filter((piece) => type.parse(piece) === undefined);
  return (wrong.length > 0 ? wrong : [text]).map(
    (value) => `${where}: invalid value ${quote(value)}, expected ${type.expected}`,
  );
}
