import { suggestion } from "../util/closest-name.ts";
import { quoteIfOdd } from "../util/text.ts";
import { CONFIG_FILE_VARIABLE, OPTION_NAMES, type OptionName, variableName } from "./options.ts";
import type { Setting, Source } from "./setting.ts";

const PREFIX = "TUPLEWATCH_";

/**
 * Kubernetes sets such variables in each pod for a Service named tuplewatch or tuplewatch-*
 * (documentation of Services, "Environment variables"); they are no settings.
 */
const SERVICE_VARIABLE =
  /^TUPLEWATCH_(.+_)?(SERVICE_(HOST|PORT(_.+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/;

/** Settings in the environment. An empty variable is an unset one. */
export function readEnvironment(environment: NodeJS.ProcessEnv): Source<OptionName> {
  const names = new Map(OPTION_NAMES.map((name) => [variableName(name), name]));
  const settings = new Map<OptionName, Setting>();
  const problems: string[] = [];
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith(PREFIX) || variable === CONFIG_FILE_VARIABLE || !text) {
      continue;
    }
    const name = names.get(variable);
    if (name !== undefined) {
      settings.set(name, { text, where: variable });
    } else if (!SERVICE_VARIABLE.test(variable)) {
      problems.push(`${quoteIfOdd(variable)}: unknown setting${suggestionFor(variable)}`);
    }
  }
  return { settings, problems };
}

/** The common prefix says nothing about which variable was meant. */
function suggestionFor(variable: string): string {
  const known = [...OPTION_NAMES.map(variableName), CONFIG_FILE_VARIABLE];
  const endings = known.map((name) => name.slice(PREFIX.length));
  return suggestion(variable.slice(PREFIX.length), endings, (ending) => PREFIX + ending);
}
