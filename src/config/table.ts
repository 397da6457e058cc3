import { fileKey, flagName, OPTION_NAMES, OPTIONS, variableName } from "./options.ts";

/** The README's table of settings, in Markdown. */
export function optionTable(): string {
  const rows = OPTION_NAMES.map((name) => {
    const { type, fallback, help } = OPTIONS[name];
    const flag = `\`${flagName(name)} ${type.placeholder}\``;
    const keys = `\`${variableName(name)}\` | \`${fileKey(name)}\``;
    return `| ${flag} | ${keys} | \`${fallback}\` | ${cell(help)}: ${cell(type.expected)} |`;
  });
  const head = ["| flag | variable | file key | default | meaning |", "|---|---|---|---|---|"];
  return `${[...head, ...rows].join("\n")}\n`;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
